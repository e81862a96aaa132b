"""A trained model as dubbing and evaluation use it: crops and sounds in, crops with redrawn mouths out."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from avcat.checkpoint import load_model
from avcat.config import InputConfig
from avcat.face.mask import keep_mask
from avcat.models.avcat import AVCAT, Reference
from avcat.nn.precision import Precision, autocast


class Redrawer:
    """Redraws the masked region of aligned crops. Everything that a caller has to match travels in the model file."""

    def __init__(
        self,
        network: AVCAT,
        inputs: InputConfig,
        *,
        device: str,
        batch_frames: int,
        precision: Precision = "fp32",
        compile: bool = False,
    ) -> None:
        """`precision`: of products and convolutions; `compile`: by torch, minutes at first, faster after."""
        self.network, self.align, self.mel, self.crop_size = network, inputs.align, inputs.mel, inputs.crop_size
        if compile:
            network.compile()
        self.image_size = network.config.image_size
        self.device, self.batch_frames, self.precision = device, batch_frames, precision
        self._redrawn = keep_mask(self.crop_size) == 0  # [S, S]

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "cpu",
        batch_frames: int | None = None,
        precision: Precision = "fp32",
        compile: bool = False,
    ) -> "Redrawer":
        """Loads a model file of kind `avcat`. By default a batch has 8 frames on a processor, else 32.

        Raises InputError where the file cannot be used.
        """
        network, file = load_model(path, "avcat", device)
        assert isinstance(network, AVCAT)
        batch_frames = batch_frames or (8 if torch.device(device).type == "cpu" else 32)
        return cls(network, file.inputs, device=device, batch_frames=batch_frames, precision=precision, compile=compile)

    @torch.inference_mode()
    def encode_reference(self, crop: np.ndarray) -> Reference:
        """A crop `uint8 [S, S, 3]` -> what all frames that refer to it share; computed once a clip."""
        with autocast(self.precision, self.device):
            return self.network.encode_reference(self._to_network(crop[None]))

    @torch.inference_mode()
    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: Reference) -> np.ndarray:
        """Crops `uint8 [N, S, S, 3]`, windows `float32 [N, 80, 20]` -> crops, new under the mask only."""
        out = crops.copy()
        for start in range(0, len(crops), self.batch_frames):
            part = slice(start, start + self.batch_frames)
            mels = torch.from_numpy(np.ascontiguousarray(mel_windows[part])).to(self.device)
            with autocast(self.precision, self.device):
                prediction = self.network(self._to_network(crops[part]), reference, mels).prediction
            out[part][:, self._redrawn] = self._to_crops(prediction)[:, self._redrawn]
        return out

    def degrade(self, crops: np.ndarray) -> np.ndarray:
        """What a perfect network of this image size would give: the true crops, through the same change of size."""
        out = crops.copy()
        out[:, self._redrawn] = self._to_crops(self._to_network(crops))[:, self._redrawn]
        return out

    def _to_network(self, crops: np.ndarray) -> Tensor:
        size = self.image_size
        if crops.shape[1] != size:
            crops = np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops])
        images = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)
        return images.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1

    def _to_crops(self, images: Tensor) -> np.ndarray:
        size = self.crop_size
        pictures = ((images.float().clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).cpu().numpy()
        if size != self.image_size:
            pictures = np.stack([cv2.resize(p, (size, size), interpolation=cv2.INTER_CUBIC) for p in pictures])
        return np.clip(pictures + 0.5, 0, 255).astype(np.uint8)
