"""LPIPS from a file of weights: random ones here, which show whether everything is in its place."""

import math
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import alexnet

from avcat.errors import InputError
from avcat.metrics.perceptual import Perceptual


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("lpips") / "alexnet.pth"
    torch.save(alexnet(weights=None).state_dict(), path)
    return path


def clip(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def test_equal_pictures_are_0_apart_and_batches_do_not_matter(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)  # any download fails
    measure = Perceptual(weights, batch_frames=2)
    assert measure(clip(0), clip(0)).tolist() == [0, 0, 0]
    apart = measure(clip(0), clip(1))
    assert apart.shape == (3,)
    assert (apart > 0).all()
    np.testing.assert_allclose(Perceptual(weights, batch_frames=1)(clip(0), clip(1)), apart, rtol=1e-5)


def test_the_layers_get_their_own_weights(weights: Path) -> None:
    """The first layer's part of LPIPS, written out: unit vectors of activations, squared, weighted, averaged."""
    measure = Perceptual(weights, batch_frames=3)
    state, network = torch.load(weights, weights_only=True), measure._network
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    maps = []
    for pictures in (clip(0), clip(1)):
        x = (torch.from_numpy(pictures).float() / 127.5 - 1 - shift) / scale
        y = torch.conv2d(
            x.permute(0, 3, 1, 2), state["features.0.weight"], state["features.0.bias"], stride=4, padding=2
        ).relu()
        maps.append(y / (y.square().sum(1, keepdim=True).sqrt() + 1e-10))
    importance = network.lin0.model[-1].weight
    expected = ((maps[0] - maps[1]).square() * importance).sum(1).mean((1, 2))
    x, y = (torch.from_numpy(c).permute(0, 3, 1, 2).float() / 127.5 - 1 for c in (clip(0), clip(1)))
    _, layers = network(x, y, retPerLayer=True)
    torch.testing.assert_close(layers[0].flatten(), expected)
    assert math.isclose(sum(layer.sum() for layer in layers) / 3, measure(clip(0), clip(1)).mean(), rel_tol=1e-5)


def test_files_that_hold_something_else(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Perceptual(tmp_path / "none.pth", 2)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not the weights of torchvision's AlexNet"):
        Perceptual(tmp_path / "other.pth", 2)
