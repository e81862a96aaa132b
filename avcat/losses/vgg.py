"""The VGG loss from the first layers on (paper, equation 8)."""

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG, VGG19_Weights, vgg19

from avcat.errors import InputError

RELU_1_1_TO_5_1 = (1, 6, 11, 20, 29)  # where the five layers' activations lie in torchvision's `features`
RANDOM_SEED = 2022


class VGGLoss(nn.Module):
    """L1 distance of VGG19 activations relu1_1 .. relu5_1, each averaged over its map, weighted and summed."""

    mean: Tensor
    spread: Tensor

    def __init__(self, weights: str, layer_weights: Sequence[float]) -> None:
        """`weights`: `imagenet` (torchvision downloads them), `random` (seeded), or a path to a state dict."""
        super().__init__()
        features = _vgg19(weights).features
        starts = (0, *(at + 1 for at in RELU_1_1_TO_5_1[:-1]))
        # A layer of weight 0 at the end costs as much as any other, so it is not built.
        used = max((i + 1 for i, w in enumerate(layer_weights) if w), default=0)
        self.layer_weights = tuple(layer_weights[:used])
        self.parts = nn.ModuleList(
            nn.Sequential(*features[a : b + 1]) for a, b in zip(starts[:used], RELU_1_1_TO_5_1[:used], strict=True)
        )
        for module in self.parts.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """Pictures `[B, 3, S, S]` in -1..1 -> a scalar. Gradients flow only to `predicted`."""
        loss = predicted.new_zeros(())
        for x, y, weight in self._layers(predicted, truth):
            loss = loss + weight * F.l1_loss(x, y)
        return loss

    def with_style(self, predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the same loss on the layers' Gram matrices (Gatys et al. 2016)."""
        loss = style = predicted.new_zeros(())
        for x, y, weight in self._layers(predicted, truth):
            loss = loss + weight * F.l1_loss(x, y)
            style = style + weight * F.l1_loss(gram(x), gram(y))
        return loss, style

    def _layers(self, predicted: Tensor, truth: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Activations of both pictures in float32, and the layer's weight."""
        x = self._normalised(predicted)
        with torch.no_grad():
            y = self._normalised(truth)
        for part, weight in zip(self.parts, self.layer_weights, strict=True):
            x = part(x)
            with torch.no_grad():
                y = part(y)
            yield x.float(), y.float(), weight

    def _normalised(self, image: Tensor) -> Tensor:
        return ((image + 1) / 2 - self.mean) / self.spread


def gram(maps: Tensor) -> Tensor:
    """`[B, C, H, W]` -> `[B, C, C]`: the correlation of each pair of channels, regardless of position."""
    flat = maps.flatten(2)
    return torch.bmm(flat, flat.mT) / (flat.shape[1] * flat.shape[2])


def _vgg19(weights: str) -> VGG:
    if weights == "imagenet":
        try:
            return vgg19(weights=VGG19_Weights.IMAGENET1K_V1)
        except OSError as error:
            raise InputError(f"train.vgg_weights: cannot download VGG19 ({error}); give a path, or `random`") from None
    with torch.random.fork_rng():
        torch.manual_seed(RANDOM_SEED)
        network = vgg19(weights=None)
    if weights != "random":
        if not Path(weights).is_file():
            raise InputError(f"train.vgg_weights: no such file: {weights}")
        try:
            network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, TypeError) as error:
            raise InputError(f"train.vgg_weights: {weights}: no VGG19 ({str(error).splitlines()[0]})") from None
    return network
