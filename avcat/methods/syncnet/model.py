"""The network: one encoder for mouths, one for sounds, into one space."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.data.schema import WINDOW_FRAMES
from avcat.errors import InputError
from avcat.nn.audio import AudioEncoderConfig, build_audio_encoder
from avcat.nn.convs import ConvNormAct
from avcat.settings import Side, settings


@settings
class SyncNetConfig:
    """SyncNet: five lower halves of the crop against one mel window, in one embedding space."""

    image_size: Side
    audio: AudioEncoderConfig
    face_width: int
    dim: int


class FaceEncoder(nn.Module):
    """The lower halves of five frames, stacked: `[B, 15, S/2, S]` -> `[B, dim]`."""

    def __init__(self, *, image_size: int, width: int, dim: int) -> None:
        super().__init__()
        side, channels = image_size // 2, width
        if image_size not in (32, 64, 96, 128, 192, 256):
            raise InputError(f"syncnet.model.image_size: {image_size} cannot be halved down to a map of 4 or 6")
        layers: list[nn.Module] = [ConvNormAct(3 * WINDOW_FRAMES, width, kernel=5, stride=(1, 2))]
        while side > 6:
            wider = min(2 * channels, 512)
            layers += [ConvNormAct(channels, wider, stride=2), ConvNormAct(wider, wider)]
            side, channels = side // 2, wider
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(channels * side * side, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layers(x).flatten(1))


class SyncNet(nn.Module):
    """Embeds faces and sounds in one space; matching ones are close. Embeddings have length one."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        self.face = FaceEncoder(image_size=config.image_size, width=config.face_width, dim=config.dim)
        self.audio = build_audio_encoder(config.audio)
        self.audio_out = nn.Sequential(nn.ReLU(), nn.Linear(config.audio.dim, config.dim))

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Windows of whole crops `[B, 5, 3, S, S]` in -1..1 -> `[B, dim]`. Another S is resized to the network's."""
        size = self.config.image_size
        b = frames.shape[0]
        lower = frames[..., frames.shape[-2] // 2 :, :].flatten(1, 2)
        if frames.shape[-1] != size:
            lower = F.interpolate(lower, (size // 2, size), mode="bilinear", antialias=True, align_corners=False)
        return F.normalize(self.face(lower.reshape(b, 3 * WINDOW_FRAMES, size // 2, size)).float(), dim=-1)

    def embed_audio(self, mels: Tensor) -> Tensor:
        """Windows `[B, 80, 20]` in 0..1 (that of the middle frame) -> `[B, dim]`."""
        return F.normalize(self.audio_out(self.audio(mels)).float(), dim=-1)

    def forward(self, frames: Tensor, mels: Tensor) -> tuple[Tensor, Tensor]:
        """Both embeddings, `[B, dim]` each."""
        return self.embed_faces(frames), self.embed_audio(mels)


def cosine_matrix(faces: Tensor, sounds: Tensor) -> Tensor:
    """`[N, D]` and `[M, D]` of length one -> cosines `[N, M]`, in float32."""
    return torch.mm(faces.float(), sounds.float().T)


SETTINGS, NETWORK = SyncNetConfig, SyncNet
