"""Both networks: landmarks from sounds, and a portrait after landmarks."""

from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.data.schema import MOUTH_POINTS
from avcat.nn.audio import AudioBranch, AudioEncoderConfig
from avcat.nn.convs import ConvNormAct, ResidualConv
from avcat.nn.init import RELU, conv, linear
from avcat.settings import Side, settings

POINTS = MOUTH_POINTS + 2  # and the eyes
OUTER = 12  # of the mouth's points are the outer edge of the lips, the other eight the inner one
SUBPIXEL_BITS = 4
COLOURS = ((255, 80, 80), (80, 255, 80), (80, 80, 255))  # outer lips, inner lips, eyes


@settings
class MakeItTalkConfig:
    """MakeItTalk's landmark predictor and its U-Net (Zhou et al. 2020)."""

    image_size: Side
    audio: AudioEncoderConfig
    hidden: int  # of the LSTMs; published: 256
    lstm_layers: int  # of the content branch; published: 3
    width: int  # channels at full resolution, of the U-Net
    depth: int  # number of times it halves the side
    max_width: int


class LandmarkPredictor(nn.Module):
    """Sounds and landmarks at rest -> landmarks, as fractions of the picture's side."""

    def __init__(self, config: MakeItTalkConfig) -> None:
        super().__init__()
        size, face = config.hidden, 2 * POINTS
        self.audio = AudioBranch(config.audio)
        self.content = nn.LSTM(config.audio.dim, size, config.lstm_layers, batch_first=True)
        self.content_out = _perceptron(size + face, face)
        self.style = nn.LSTM(config.audio.dim, size, 1, batch_first=True)
        self.embedding = linear(config.audio.dim, size)
        layer = nn.TransformerEncoderLayer(2 * size, 4, 4 * size, dropout=0.0, batch_first=True)
        self.attention = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.style_out = _perceptron(2 * size + face, face)

    def forward(self, mels: Tensor, rest: Tensor) -> Tensor:
        """Windows of consecutive frames `[N, T, 80, 20]`, landmarks at rest `[N, 22, 2]` -> `[N, T, 22, 2]`."""
        n, frames = mels.shape[:2]
        heard = self.audio(mels.flatten(0, 1)).view(n, frames, -1)
        face = rest.flatten(1)[:, None].expand(-1, frames, -1)
        said = self.content_out(torch.cat((self.content(heard)[0], face), -1))
        who = self.embedding(heard.mean(1, keepdim=True)).expand(-1, frames, -1)
        manner = self.attention(torch.cat((self.style(heard)[0], who), -1))
        moved = said + self.style_out(torch.cat((manner, face), -1))
        return rest[:, None] + moved.view(n, frames, POINTS, 2)


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    last = linear(256, outputs, 0.01)  # at first nothing moves
    return nn.Sequential(linear(inputs, 512, RELU), nn.LeakyReLU(0.2), linear(512, 256, RELU), nn.LeakyReLU(0.2), last)


class Portrait(nn.Module):
    """The residual U-Net: portrait and drawn landmarks -> picture."""

    def __init__(self, *, width: int, depth: int, max_width: int) -> None:
        super().__init__()
        widths = [min(width * 2**i, max_width) for i in range(depth + 1)]
        self.down = nn.ModuleList(
            [nn.Sequential(ConvNormAct(6, widths[0], kernel=5, groups=1), ResidualConv(widths[0], groups=1))]
        )
        for narrow, wide in pairwise(widths):
            self.down.append(nn.Sequential(ConvNormAct(narrow, wide, stride=2, groups=1), ResidualConv(wide, groups=1)))
        self.up = nn.ModuleList(
            nn.Sequential(ConvNormAct(wide + narrow, narrow, groups=1), ResidualConv(narrow, groups=1))
            for narrow, wide in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.rgb = conv(widths[0], 3, 3, gain=0.3)

    def forward(self, portraits: Tensor, maps: Tensor) -> Tensor:
        """Portraits and landmark maps `[B, 3, S, S]` in -1..1 -> `[B, 3, S, S]`, as the portrait plus a change."""
        x, skips = torch.cat((portraits, maps), 1), []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = layer(torch.cat((F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()), 1))
        return portraits + self.rgb(x)


class MakeItTalk(nn.Module):
    """Both networks. The step between them, drawing lines, has no gradient, and the paper trains them apart too."""

    def __init__(self, config: MakeItTalkConfig) -> None:
        super().__init__()
        self.config = config
        self.landmarks = LandmarkPredictor(config)
        self.portrait = Portrait(width=config.width, depth=config.depth, max_width=config.max_width)


def draw_landmarks(points: np.ndarray, size: int) -> np.ndarray:
    """Landmarks `[T, 22, 2]` (mouth, then eyes) as fractions of the side -> pictures of lines, uint8 [T, S, S, 3]."""
    maps = np.zeros((len(points), size, size, 3), np.uint8)
    fixed = np.rint((points * size - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
    thick = max(1, size // 64)
    for picture, face in zip(maps, fixed, strict=True):
        lips = (face[:OUTER], face[OUTER:MOUTH_POINTS])
        for line, colour in zip(lips, COLOURS, strict=False):
            cv2.polylines(picture, [line], True, colour, thick, cv2.LINE_AA, SUBPIXEL_BITS)
        for eye in face[MOUTH_POINTS:].tolist():
            cv2.circle(picture, eye, 2 * thick << SUBPIXEL_BITS, COLOURS[2], -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return maps


SETTINGS, NETWORK = MakeItTalkConfig, MakeItTalk
