"""The network: encoders of identity, pose and mouth, and a modulated generator."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.methods.generator import Redrawn, Reference, WholePicture
from avcat.nn.audio import AudioBranch, AudioEncoderConfig
from avcat.nn.convs import ConvNormAct, ModulatedConv2d, ResidualConv, halvings
from avcat.nn.init import RELU, linear
from avcat.nn.references import repeated
from avcat.settings import Side, settings

START_SIDES = (3, 4, 7)  # of the map that the generator starts from
STYLE_SCALE = 8.0  # entries of unit-length codes of some hundred numbers are small beside the others


@settings
class PCAVSConfig:
    """PC-AVS's encoders and generator (Zhou et al. 2021)."""

    image_size: Side
    audio: AudioEncoderConfig
    width: int  # channels at full resolution, of the generator; published: 128
    encoder_width: int  # of both encoders
    max_width: int  # published: 512
    identity_dim: int  # published: 2048
    mouth_dim: int  # published: 500
    pose_dim: int  # published: 12


class PictureEncoder(nn.Module):
    """Crops `[B, 3, S, S]` -> maps `[B, C, s, s]`, halving by halving."""

    def __init__(self, *, image_size: int, width: int, max_width: int) -> None:
        super().__init__()
        levels = halvings("pc_avs", image_size, START_SIDES)
        widths = [min(width * 2**i, max_width) for i in range(levels + 1)]
        layers: list[nn.Module] = [ConvNormAct(3, width, kernel=5, groups=1)]
        for narrow, wide in pairwise(widths):
            layers += [ConvNormAct(narrow, wide, stride=2, groups=1), ResidualConv(wide, groups=1)]
        self.layers = nn.Sequential(*layers)
        self.channels, self.side = widths[-1], image_size // 2**levels

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers(images)
        return maps


class PCAVS(WholePicture):
    """Identity from the reference, pose from the frame, mouth from the sound."""

    def __init__(self, config: PCAVSConfig) -> None:
        super().__init__(config.image_size)
        self.config = config
        sizes = {"image_size": config.image_size, "width": config.encoder_width, "max_width": config.max_width}
        self.identity, self.motion = PictureEncoder(**sizes), PictureEncoder(**sizes)
        self.identity_code = linear(self.identity.channels, config.identity_dim)
        flat = self.motion.channels * self.motion.side**2
        self.pose_code, self.mouth_code = linear(flat, config.pose_dim), linear(flat, config.mouth_dim)
        self.audio = AudioBranch(config.audio)
        self.sound_code = linear(config.audio.dim, config.mouth_dim)
        style = config.identity_dim + config.mouth_dim + config.pose_dim
        levels = halvings("pc_avs", config.image_size, START_SIDES)
        widths = [min(config.width * 2**i, config.max_width) for i in range(levels + 1)][::-1]
        self.blocks = nn.ModuleList(
            StyledBlock(inputs, outputs, style_dim=style)
            for inputs, outputs in zip([self.identity.channels, *widths], widths, strict=False)
        )

    def encode_reference(self, reference: Tensor) -> Reference:
        maps = self.identity(reference)
        return Reference(reference, (maps, self.identity_code(maps.mean((2, 3)))))

    def mouth_of_pictures(self, frames: Tensor) -> Tensor:
        """`[B, 3, S, S]` -> codes `[B, mouth_dim]`, close to those of the sounds that belong to them once trained."""
        return self.mouth_code(self.motion(frames).flatten(1))  # type: ignore[no-any-return]

    def mouth_of_sounds(self, mels: Tensor) -> Tensor:
        """`[B, 80, 20]` -> codes `[B, mouth_dim]`."""
        return self.sound_code(self.audio(mels))  # type: ignore[no-any-return]

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """As `Generator.forward`. The frames are read whole, but only the few numbers of the pose are used."""
        maps, identity = (repeated(part, frames.shape[0]) for part in reference.features)
        pose = self.pose_code(self.motion(frames).flatten(1))
        style = torch.cat((identity, F.normalize(self.mouth_of_sounds(mels), dim=-1) * STYLE_SCALE, pose), 1)
        x, picture = maps, None
        for i, block in enumerate(self.blocks):
            x, picture = block(x, picture, style, grow=i > 0)
        assert picture is not None
        return Redrawn(torch.tanh(picture), None)


class StyledBlock(nn.Module):
    """Two modulated convolutions at one size, and what they add to the picture."""

    def __init__(self, inputs: int, outputs: int, *, style_dim: int) -> None:
        super().__init__()
        self.first = ModulatedConv2d(inputs, outputs, 3, style_dim=style_dim, gain=RELU)
        self.second = ModulatedConv2d(outputs, outputs, 3, style_dim=style_dim, gain=RELU)
        self.rgb = ModulatedConv2d(outputs, 3, 1, style_dim=style_dim, gain=0.3)

    def forward(self, x: Tensor, picture: Tensor | None, style: Tensor, *, grow: bool) -> tuple[Tensor, Tensor]:
        if grow:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = F.leaky_relu(self.first(x, style), 0.2)
        x = F.leaky_relu(self.second(x, style), 0.2)
        rgb = self.rgb(x, style)
        if picture is not None:
            rgb = rgb + F.interpolate(picture, scale_factor=2.0, mode="bilinear", align_corners=False)
        return x, rgb


SETTINGS, NETWORK = PCAVSConfig, PCAVS
