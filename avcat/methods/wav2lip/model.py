"""The network: an encoder of sounds, a U-Net of faces, and the discriminator."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.methods.generator import Redrawn, Reference, WholePicture
from avcat.nn.convs import ConvNormAct, ResidualConv, halvings
from avcat.nn.references import repeated
from avcat.settings import Side, settings

SMALLEST = (3, 4)  # sides of the map that becomes one vector
RESIDUALS = (2, 3, 2, 2)  # after each halving; 1 after the others
WIDER = (2, 3)  # the decoder's channels over the encoder's, from its smallest map on; 4 in the others


@settings
class Wav2LipConfig:
    """Wav2Lip's generator (Prajwal et al. 2020)."""

    image_size: Side  # published: 96
    width: int  # channels at full resolution; published: 16


class MelEncoder(nn.Sequential):
    """A mel window `[B, 1, 80, 20]` to one vector `[B, 32 width, 1, 1]`."""

    def __init__(self, width: int) -> None:
        w = 2 * width
        super().__init__(
            ConvNormAct(1, w),
            ResidualConv(w),
            ResidualConv(w),
            ConvNormAct(w, 2 * w, stride=(3, 1)),  # 27 x 20
            ResidualConv(2 * w),
            ResidualConv(2 * w),
            ConvNormAct(2 * w, 4 * w, stride=3),  # 9 x 7
            ResidualConv(4 * w),
            ResidualConv(4 * w),
            ConvNormAct(4 * w, 8 * w, stride=(3, 2)),  # 3 x 4
            ResidualConv(8 * w),
            nn.Conv2d(8 * w, 16 * w, (3, 4)),
            nn.ReLU(),
        )


class Wav2Lip(WholePicture):
    """The generator. It hides the lower half itself, and draws the whole crop."""

    def __init__(self, config: Wav2LipConfig) -> None:
        super().__init__(config.image_size)
        self.config = config
        levels, vector = halvings("wav2lip", config.image_size, SMALLEST), 32 * config.width
        side = config.image_size // 2**levels
        widths = [min(config.width * 2**i, vector) for i in range(levels + 1)]
        self.audio = MelEncoder(config.width)
        self.down = nn.ModuleList([ConvNormAct(6, widths[0], kernel=7, groups=1)])
        for i, (narrow, wide) in enumerate(pairwise(widths)):
            same = (ResidualConv(wide, groups=1) for _ in range(RESIDUALS[i] if i < len(RESIDUALS) else 1))
            self.down.append(nn.Sequential(ConvNormAct(narrow, wide, stride=2, groups=1), *same))
        self.down.append(nn.Sequential(nn.Conv2d(widths[-1], vector, side), nn.ReLU()))
        self.start = ConvNormAct(vector, vector, kernel=1)
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(2 * vector, widths[-1], side), nn.ReLU(), ResidualConv(widths[-1], groups=1)
        )
        self.up = nn.ModuleList()
        inputs = widths[-1]
        for i, width in enumerate(reversed(widths[:-1])):
            outputs = (WIDER[i] if i < len(WIDER) else 4) * width
            same = (ResidualConv(outputs, groups=1) for _ in range(2))
            self.up.append(nn.Sequential(ConvNormAct(inputs + widths[levels - i], outputs, groups=1), *same))
            inputs = outputs
        self.picture = nn.Sequential(
            ConvNormAct(inputs + widths[0], 2 * config.width, groups=1), nn.Conv2d(2 * config.width, 3, 1), nn.Tanh()
        )

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """As `Generator.forward`; the lower half of the frames is not read."""
        half = self.image_size // 2
        hidden = torch.cat((frames[:, :, :half], torch.zeros_like(frames[:, :, half:])), 2)
        references = repeated(reference.image, frames.shape[0])
        x, skips = torch.cat((hidden, references), 1), []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        x = self.start(self.audio(mels[:, None] * 2 - 1))
        x = self.grow(torch.cat((x, skips.pop()), 1))
        for layer in self.up:
            x = torch.cat((x, skips.pop()), 1)
            x = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return Redrawn(self.picture(torch.cat((x, skips.pop()), 1)), None)


class QualityDiscriminator(nn.Module):
    """Rates how real the lower half of a face looks, as one logit, without normalisation."""

    def __init__(self, *, image_size: int, width: int) -> None:
        super().__init__()
        levels, channels = halvings("wav2lip", image_size, SMALLEST), width
        layers: list[nn.Module] = [_plain(3, width, kernel=7)]
        for i in range(levels):
            wider = min(2 * channels, 16 * width)
            # The half is twice as wide as it is high: the first halving makes it square.
            layers.append(_plain(channels, wider, kernel=5 if i < 3 else 3, stride=(1, 2) if i == 0 else 2))
            layers.append(_plain(wider, wider, kernel=5 if i < 3 else 3))
            channels = wider
        side = image_size // 2**levels
        layers += [nn.Conv2d(channels, channels, side), nn.LeakyReLU(0.2), nn.Conv2d(channels, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Whole crops `[B, 3, S, S]` -> logits `[B, 1, 1, 1]`, as a single scale."""
        return [self.layers(images[:, :, images.shape[2] // 2 :])]


def _plain(inputs: int, outputs: int, *, kernel: int, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(0.2))


SETTINGS, NETWORK = Wav2LipConfig, Wav2Lip
