"""Convolutions: plain ones with an activation, and those that the sound modulates (paper, equation 6)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.errors import InputError
from avcat.nn.init import RELU, conv, linear

# Spread of the styles around 1 at the start. Much of a picture must not depend on the sound: if the sound changes
# every channel of every layer at first, that takes long to learn.
STYLE_GAIN = 0.1


def halvings(method: str, image_size: int, ends: tuple[int, ...]) -> int:
    """How often the side is halved to reach one of `ends`. InputError, naming the method, if none is reached."""
    count, side = 0, image_size
    while side not in ends:
        if side % 2 or side < min(ends):
            *most, last = map(str, ends)
            raise InputError(
                f"{method}: a picture of {image_size} px cannot be halved down to {', '.join(most)} or {last} px"
            )
        count, side = count + 1, side // 2
    return count


class ConvAct(nn.Sequential):
    """A 3 x 3 convolution and a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(conv(inputs, outputs, 3, stride, gain=RELU), nn.LeakyReLU(0.2))


class ConvNormAct(nn.Sequential):
    """A convolution, GroupNorm and ReLU. GroupNorm, since its result does not depend on how a batch is split.

    Each of the `groups` loses its own mean over the picture. Networks that draw a picture take one group: with groups
    of few channels the input's colours would be lost.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        groups: int = 8,
    ) -> None:
        pad = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
        norm = nn.GroupNorm(math.gcd(outputs, groups), outputs)
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=False), norm, nn.ReLU())


class ResidualConv(nn.Module):
    """A 3 x 3 convolution and GroupNorm, added to its input, then ReLU: Wav2Lip's block."""

    def __init__(self, width: int, groups: int = 8) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(math.gcd(width, groups), width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.change(x) + x)


class ModulatedConv2d(nn.Module):
    """A convolution with its weights scaled, input channel by input channel, by a style made from f_a (equation 6).

    W' = s_m W_mnq / sqrt(sum_mq (s_m W_mnq)^2 + eps). Scaling the weights of each sample is the same as scaling its
    input by s and its output by 1 / sqrt(...), which needs one ordinary convolution for the whole batch.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, style_dim: int, stride: int = 1, gain: float = 1.0
    ) -> None:
        """Equation 6 fixes the size of the result; `gain` times it leaves room for the activation that follows."""
        super().__init__()
        self.stride, self.padding, self.gain, self.eps = stride, kernel // 2, gain, 1e-8
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / math.sqrt(inputs * kernel * kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = linear(style_dim, inputs, gain=STYLE_GAIN)
        nn.init.ones_(self.style.bias)  # an average style changes nothing

    def forward(self, x: Tensor, f_a: Tensor) -> Tensor:
        """`[B, inputs, H, W]` and f_a `[B, A]` -> `[B, outputs, H / stride, W / stride]`."""
        s = self.style(f_a)
        energy = self.weight.float().square().sum((2, 3))  # [outputs, inputs]
        scale = self.gain * torch.rsqrt(s.float().square() @ energy.T + self.eps)
        y = F.conv2d(x * s[:, :, None, None], self.weight, stride=self.stride, padding=self.padding)
        # In one pass and in y's precision: at full resolution this costs as much as the convolution.
        return torch.addcmul(self.bias.to(y.dtype)[:, None, None], y, scale.to(y.dtype)[:, :, None, None])
