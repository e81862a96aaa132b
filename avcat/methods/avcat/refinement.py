"""The Refinement Network G_R: a U-Net in which the sound modulates every convolution (paper, section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.nn.convs import ModulatedConv2d
from avcat.nn.init import RELU
from avcat.nn.references import repeated
from avcat.settings import settings


@settings
class RefinementConfig:
    """The U-Net of modulated convolutions (paper, section 3.3)."""

    width: int  # channels at full resolution
    depth: int  # number of times the side is halved
    max_width: int
    reference: bool  # its input includes the reference; not in the paper, except "RN only"


class ModulatedPair(nn.Module):
    """Two modulated 3 x 3 convolutions, each with a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, *, style_dim: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ModulatedConv2d(inputs, outputs, 3, style_dim=style_dim, stride=stride, gain=RELU)
        self.second = ModulatedConv2d(outputs, outputs, 3, style_dim=style_dim, gain=RELU)

    def forward(self, x: Tensor, f_a: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x, f_a), 0.2)
        return F.leaky_relu(self.second(x, f_a), 0.2)


class Refinement(nn.Module):
    """I^p' = M I + (1 - M) I^p -> a better picture of the same size, as I^p' plus what the U-Net changes."""

    def __init__(self, config: RefinementConfig, *, style_dim: int) -> None:
        super().__init__()
        self.sees_reference = config.reference
        inputs = 6 if config.reference else 3
        widths = [min(config.width * 2**i, config.max_width) for i in range(config.depth + 1)]
        self.down = nn.ModuleList(
            ModulatedPair(
                inputs if i == 0 else widths[i - 1], widths[i], style_dim=style_dim, stride=1 if i == 0 else 2
            )
            for i in range(config.depth + 1)
        )
        self.up = nn.ModuleList(
            ModulatedPair(widths[i + 1] + widths[i], widths[i], style_dim=style_dim)
            for i in reversed(range(config.depth))
        )
        self.rgb = ModulatedConv2d(widths[0], 3, 1, style_dim=style_dim)
        # Equation 6 fixes the scale of a convolution's output; the picture's is learnt.
        self.rgb_gain = nn.Parameter(torch.full((3, 1, 1), 0.3))

    def forward(self, picture: Tensor, references: Tensor, f_a: Tensor) -> Tensor:
        """Raw pictures `[B, 3, S, S]`, references `[R, 3, S, S]` (R divides B), f_a `[B, A]` -> `[B, 3, S, S]`."""
        x, skips = picture, []
        if self.sees_reference:
            x = torch.cat((x, repeated(references, x.shape[0])), 1)
        for pair in self.down:
            x = pair(x, f_a)
            skips.append(x)
        skips.pop()
        for pair in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = pair(torch.cat((x, skips.pop()), 1), f_a)
        return picture + self.rgb(x, f_a) * self.rgb_gain
