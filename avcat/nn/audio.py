"""E_a: one window of sound, as mels or features of a pretrained network, to f_a."""

from typing import Literal

import torch
from torch import Tensor, nn

from avcat.errors import InputError
from avcat.nn.convs import ConvNormAct
from avcat.nn.init import RELU, linear
from avcat.settings import settings

BANDS = 80  # of mels; a window is 20 columns: 0.2 s, five frames


@settings
class AudioEncoderConfig:
    """E_a: a ResNet-SE over one 80 x 20 mel window with attention pooling over time."""

    # PC-AVS's ResNetSE-34, or five plain convolutions; "features" for those of a pretrained network
    kind: Literal["resnet_se", "small", "features"]
    width: int  # channels of the first level
    dim: int  # of f_a
    bands: int = 80  # of its input, `mel.bands`; absent in older model files


class SmallAudioEncoder(nn.Module):
    """Five convolutions and a linear layer, for small profiles."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        w = config.width
        self.layers = nn.Sequential(
            ConvNormAct(1, w),
            ConvNormAct(w, 2 * w, stride=(2, 1)),  # 40 x 20
            ConvNormAct(2 * w, 4 * w, stride=2),  # 20 x 10
            ConvNormAct(4 * w, 8 * w, stride=2),  # 10 x 5
            ConvNormAct(8 * w, 8 * w, stride=(2, 1)),  # 5 x 5
        )
        self.out = nn.Linear(8 * w * 5 * 5, config.dim)

    def forward(self, mel: Tensor) -> Tensor:
        """`[B, 80, 20]` in 0..1 -> `[B, dim]`."""
        return self.out(self.layers(mel[:, None] * 2 - 1).flatten(1))


class SqueezeExcite(nn.Module):
    """Scales channels by factors computed from the whole map."""

    def __init__(self, width: int, reduction: int = 8) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(width, width // reduction), nn.ReLU(), nn.Linear(width // reduction, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


class ResidualSE(nn.Module):
    """A ResNet basic block with squeeze and excitation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNormAct(inputs, outputs, stride=stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs), SqueezeExcite(outputs)
        )
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNetSEAudioEncoder(nn.Module):
    """PC-AVS's audio encoder: ResNetSE-34 (3, 4, 6, 3 blocks; widths 1, 2, 4, 8 times `width`), attention over time."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        w = config.width
        layers: list[nn.Module] = [ConvNormAct(1, w)]
        inputs = w
        for i, depth in enumerate((3, 4, 6, 3)):
            for j in range(depth):
                layers.append(ResidualSE(inputs, w * 2**i, 2 if i and not j else 1))
                inputs = w * 2**i
        self.layers = nn.Sequential(*layers)
        features = inputs * (BANDS // 8)
        self.attention = nn.Sequential(nn.Linear(features, 128), nn.Tanh(), nn.Linear(128, 1))
        self.out = nn.Linear(features, config.dim)

    def forward(self, mel: Tensor) -> Tensor:
        """`[B, 80, 20]` in 0..1 -> `[B, dim]`."""
        x = self.layers(mel[:, None] * 2 - 1)
        x = x.permute(0, 3, 1, 2).flatten(2)  # [B, time, channels x bands]
        return self.out((self.attention(x).softmax(1) * x).sum(1))


class FeatureAudioEncoder(nn.Module):
    """For features of a pretrained network (`avcat.media.pretrained`): two convolutions and attention over time.

    The features' scale is unknown, so each column is normalised to mean 0 and variance 1 first.
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        w = config.width
        self.norm = nn.LayerNorm(config.bands)
        self.layers = nn.Sequential(nn.Conv1d(config.bands, w, 1), nn.GELU(), nn.Conv1d(w, w, 5, padding=2), nn.GELU())
        self.attention = nn.Linear(w, 1)
        self.out = nn.Linear(w, config.dim)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, bands, 20]` -> `[B, dim]`."""
        x = self.layers(self.norm(features.transpose(1, 2)).transpose(1, 2)).transpose(1, 2)  # [B, time, width]
        return self.out((self.attention(x).softmax(1) * x).sum(1))


def build_audio_encoder(config: AudioEncoderConfig) -> nn.Module:
    """The encoder that `config.kind` names. Raises InputError if it cannot take `config.bands`."""
    if config.kind == "features":
        return FeatureAudioEncoder(config)
    if config.bands != BANDS:
        raise InputError(f"audio.kind: {config.kind!r} takes {BANDS} bands, not {config.bands}; 'features' takes any")
    return {"small": SmallAudioEncoder, "resnet_se": ResNetSEAudioEncoder}[config.kind](config)


class AudioBranch(nn.Module):
    """E_a, its output standardised, then two linear layers: what backbone and refinement receive as f_a.

    Mean and spread are buffers that training sets once from its own sounds (`calibrate`), so that the output
    of a frozen encoder from SyncNet has the scale that new layers expect.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.encoder = build_audio_encoder(config)
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("spread", torch.ones(config.dim))
        self.map = nn.Sequential(
            linear(config.dim, config.dim, RELU), nn.LeakyReLU(0.2), linear(config.dim, config.dim)
        )

    @torch.no_grad()
    def calibrate(self, mels: Tensor) -> None:
        """Sets mean and spread from windows `[N, 80, 20]`, N in the hundreds."""
        features = self.encoder(mels).float()
        self.mean.copy_(features.mean(0))
        self.spread.copy_(features.std(0).clamp_min(1e-3))

    @torch.no_grad()
    def recentre(self, mels: Tensor) -> None:
        """Sets only the mean: seconds of one voice in one room determine it, but hardly the spread."""
        self.mean.copy_(self.encoder(mels).float().mean(0))

    def forward(self, mel: Tensor) -> Tensor:
        """`[B, 80, 20]` -> f_a `[B, dim]`."""
        return self.map((self.encoder(mel) - self.mean) / self.spread)
