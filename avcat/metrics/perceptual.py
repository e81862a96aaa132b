"""LPIPS [Zhang et al. 2018], by its authors' package: how different two pictures look to an image network.

The package brings its own calibration; the backbone's ImageNet weights come from a file, and are never downloaded.
A random backbone reports nothing.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avcat.errors import InputError
from avcat.face.retinaface import load_weights
from avcat.inference.redraw import to_network

BACKBONE = "alex"  # the package's own default


class Perceptual:
    """LPIPS with AlexNet and the weights of a file, torchvision's `alexnet-owt-*.pth`."""

    def __init__(self, weights: str | Path, batch_frames: int, device: str = "cpu") -> None:
        """Raises InputError if the package is missing or the file holds no AlexNet."""
        try:
            from lpips import LPIPS
        except ModuleNotFoundError as error:
            raise InputError("LPIPS needs the package lpips: pip install avcat[pipeline]") from error
        state = load_weights(str(weights), sha256="")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it asks torchvision for a network in an outdated way
            network = LPIPS(net=BACKBONE, pnet_rand=True, verbose=False)
        # Its slices are torchvision's layers under their own numbers: slice2.3.weight is features.3.weight.
        own = network.net.state_dict()
        try:
            network.net.load_state_dict({name: state[f"features.{name.split('.', 1)[1]}"] for name in own})
        except (KeyError, RuntimeError) as error:
            raise InputError(f"{weights}: not the weights of torchvision's AlexNet") from error
        self._network = network.eval().requires_grad_(False).to(device)
        self._device, self._batch_frames = device, batch_frames

    @torch.inference_mode()
    def __call__(self, truth: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Two clips `uint8 [T, S, S, 3]` RGB -> LPIPS `[T]`, 0 for equal frames; lower is better."""
        parts = []
        for start in range(0, len(truth), self._batch_frames):
            part = slice(start, start + self._batch_frames)
            x, y = (to_network(clip[part], clip.shape[1], self._device) for clip in (truth, drawn))
            parts.append(self._network(x, y).flatten().double().cpu().numpy())
        return np.concatenate(parts)
