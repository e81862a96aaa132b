"""The convolution-Transformer hybrid: main branch and reference branch (paper, section 3.2)."""

from collections.abc import Iterable
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from avcat.errors import InputError
from avcat.nn.attention import Context, Windows, shift_mask, windows_for
from avcat.nn.blocks import Block
from avcat.nn.convs import ConvAct
from avcat.nn.init import RESIDUAL, conv
from avcat.settings import settings

CONV_LAYERS = 4  # in the encoder E_e, and again in the decoder Net_d (section 3.2.1)
SKIPS = {3: 1, 4: 0}  # MAT's: stages 4 and 5 (here from 0) also receive the outputs of stages 2 and 1
ReferenceFeatures = list[list[Context]]  # [stage][block]: keys and values of the reference frame


@settings
class BackboneConfig:
    """The convolution-Transformer hybrid (paper, section 3.2)."""

    dim: int  # C_0
    heads: int
    depths: tuple[int, int, int, int, int]
    windows: tuple[int, int, int, int, int]
    mlp_ratio: float
    encoder_stride: int  # image side / side of F: 2 keeps a quarter of the area
    stage_strides: tuple[int, int, int, int, int]  # 2 halves the map's side before the stage, -2 doubles it, 1 keeps it
    audio_stages: tuple[int, ...]  # 1-based; the paper injects audio into 3, 4, 5
    skips: bool  # from stages 1 and 2 to 5 and 4, as in MAT; the paper mentions none
    position_bias: bool  # a learned bias per relative position, as in Swin; equation 1 has none


class Encoder(nn.Sequential):
    """E_e: four convolutions, an image to F with `dim` channels at 1 / stride of its side."""

    def __init__(self, dim: int, stride: int) -> None:
        if stride not in (1, 2, 4):
            raise InputError(f"model.backbone.encoder_stride: {stride} is not 1, 2 or 4")
        strides = {1: (1, 1, 1, 1), 2: (1, 2, 1, 1), 4: (1, 2, 2, 1)}[stride]
        widths = (3, dim // 2, dim, dim, dim)
        assert len(strides) == CONV_LAYERS
        super().__init__(*(ConvAct(widths[i], widths[i + 1], strides[i]) for i in range(CONV_LAYERS)))


class Decoder(nn.Module):
    """Net_d: four convolutions from the last map to the intermediate image, doubling the side if needed."""

    def __init__(self, dim: int, factor: int) -> None:
        super().__init__()
        if factor not in (1, 2, 4):
            raise InputError(
                f"model.backbone: the last map is 1/{factor} of the image's side; 1, 1/2 or 1/4 can be decoded"
            )
        self.doublings = {1: 0, 2: 1, 4: 2}[factor]
        widths = (dim, dim, dim // 2, dim // 4)
        self.layers = nn.ModuleList(ConvAct(widths[i], widths[i + 1]) for i in range(CONV_LAYERS - 1))
        self.rgb = conv(widths[-1], 3, 3, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            if 1 <= i <= self.doublings:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = layer(x)
        return self.rgb(x)


def _resample(dim: int, stride: int) -> nn.Module:
    """Before a stage: 2 x 2 convolution with stride 2, its transpose (-2), or nothing (1)."""
    if stride == 2:
        return conv(dim, dim, 2, 2)
    if stride == -2:
        layer = nn.ConvTranspose2d(dim, dim, 2, 2)
        nn.init.normal_(layer.weight, std=dim**-0.5)
        return layer
    if stride == 1:
        return nn.Identity()
    raise InputError(f"model.backbone.stage_strides: {stride} is not 2, 1 or -2")


class Stage(nn.Module):
    """Blocks at one resolution; both branches go through the same weights. Maps are `[B, C, H, W]` outside."""

    def __init__(self, *, config: BackboneConfig, number: int, side: int, audio_dim: int) -> None:
        super().__init__()
        at = number - 1
        self.side = side
        self.resample = _resample(config.dim, config.stage_strides[at])
        self.windows = [windows_for(i, config.windows[at], side) for i in range(config.depths[at])]
        self.blocks = nn.ModuleList(
            Block(
                dim=config.dim,
                heads=config.heads,
                mlp_ratio=config.mlp_ratio,
                bias_side=windows.size if config.position_bias else None,
                audio_dim=audio_dim if number in config.audio_stages else None,
            )
            for windows in self.windows
        )
        self.end = conv(config.dim, config.dim, 3, gain=RESIDUAL)
        for i, windows in enumerate(self.windows):
            self.register_buffer(f"mask{i}", shift_mask(windows, side, side), persistent=False)

    def _start(self, x: Tensor, skip: Tensor | None) -> Tensor:
        return self.resample(x) if skip is None else self.resample(x) + skip

    def _cuts(self, i: int) -> tuple[Windows, Tensor | None]:
        return self.windows[i], getattr(self, f"mask{i}")

    def basic(self, x: Tensor, skip: Tensor | None) -> tuple[Tensor, list[Context]]:
        """The reference branch's stage, and each block's keys and values for the main branch."""
        start = self._start(x, skip)
        x = start.permute(0, 2, 3, 1)
        contexts = []
        for i, block in enumerate(cast(Iterable[Block], self.blocks)):
            x, context = block.basic(x, *self._cuts(i))
            contexts.append(context)
        return self.end(x.permute(0, 3, 1, 2)) + start, contexts

    def forward(self, x: Tensor, skip: Tensor | None, reference: list[Context], f_a: Tensor) -> Tensor:
        """The main branch's stage."""
        start = self._start(x, skip)
        x = start.permute(0, 2, 3, 1)
        for i, block in enumerate(self.blocks):
            x = block(x, reference[i], f_a, *self._cuts(i))
        return self.end(x.permute(0, 3, 1, 2)) + start


def map_sides(config: BackboneConfig, image_size: int) -> tuple[int, ...]:
    """The side of each stage's map, 64, 32, 16, 32, 64 for the paper's settings. InputError if one is no integer."""
    side, sides = image_size / config.encoder_stride, []
    for stride in config.stage_strides:
        side = side / stride if stride > 0 else side * -stride
        if side != int(side) or side < 1:
            raise InputError(
                f"model: an image of {image_size} px cannot be halved as model.backbone.stage_strides says"
            )
        sides.append(int(side))
    return tuple(sides)


class Backbone(nn.Module):
    """Masked frame, reference frame and f_a -> intermediate image."""

    def __init__(self, config: BackboneConfig, *, image_size: int, audio_dim: int) -> None:
        super().__init__()
        if config.dim % config.heads:
            raise InputError(f"model.backbone: {config.dim} channels cannot be shared by {config.heads} heads")
        sides = map_sides(config, image_size)
        if config.skips and sides[:2] != sides[:2:-1]:
            raise InputError(f"model.backbone.skips: stages 1 and 5, 2 and 4 need maps of one size, not {sides}")
        self.skips = SKIPS if config.skips else {}
        self.encoder = Encoder(config.dim, config.encoder_stride)
        self.stages = nn.ModuleList(
            Stage(config=config, number=i + 1, side=side, audio_dim=audio_dim) for i, side in enumerate(sides)
        )
        self.decoder = Decoder(config.dim, image_size // sides[-1])

    def encode_reference(self, reference: Tensor) -> ReferenceFeatures:
        """`[R, 3, S, S]` -> keys and values of every block. They depend only on the reference: once per clip."""
        outputs: list[Tensor] = []
        features: ReferenceFeatures = []
        x = self.encoder(reference)
        for i, stage in enumerate(cast(Iterable[Stage], self.stages)):
            x, contexts = stage.basic(x, outputs[self.skips[i]] if i in self.skips else None)
            outputs.append(x)
            features.append(contexts)
        return features

    def forward(self, masked: Tensor, reference: ReferenceFeatures, f_a: Tensor) -> Tensor:
        """Masked frames `[B, 3, S, S]`, features of R references (R divides B), f_a `[B, A]` -> `[B, 3, S, S]`."""
        outputs: list[Tensor] = []
        x = self.encoder(masked)
        for i, (stage, contexts) in enumerate(zip(self.stages, reference, strict=True)):
            x = stage(x, outputs[self.skips[i]] if i in self.skips else None, contexts, f_a)
            outputs.append(x)
        return self.decoder(x)
