"""A trained MakeItTalk as evaluation uses it: one portrait and a whole sound in, crops out."""

from pathlib import Path

import numpy as np
import torch
from scipy.signal import savgol_filter

from avcat.checkpoint import load_model
from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.face.landmarks import FaceDetector, MediaPipeDetector
from avcat.methods.makeittalk.model import MakeItTalk, draw_landmarks
from avcat.nn.pictures import crops_to_network, network_to_crops
from avcat.nn.precision import autocast

SMOOTHED_FRAMES, DEGREE = 5, 3  # of the Savitzky-Golay filter over each landmark's path


class PortraitTalker:
    """Moves the landmarks of a portrait by the sound, and the portrait with them."""

    def __init__(
        self, network: MakeItTalk, inputs: InputConfig, detector: FaceDetector, *, device: str, batch_frames: int
    ) -> None:
        self.network, self.align, self.mel, self.crop_size = network, inputs.align, inputs.mel, inputs.crop_size
        self.detector = detector
        self.image_size, self.device, self.batch_frames = network.config.image_size, device, batch_frames

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, device: str = "cpu", batch_frames: int = 8, detector: FaceDetector | None = None
    ) -> "PortraitTalker":
        """Loads a model file of kind `makeittalk`; the detector is Face Mesh if none is given.

        Raises InputError if the file cannot be used.
        """
        network, file = load_model(path, MakeItTalk, device)
        return cls(network, file.inputs, detector or MediaPipeDetector(), device=device, batch_frames=batch_frames)

    @torch.inference_mode()
    def talk(self, portrait: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """A crop `uint8 [S, S, 3]` and the windows of T frames `float32 [T, 80, 20]` -> crops `uint8 [T, S, S, 3]`.

        Raises InputError if the portrait shows no face.
        """
        rest = torch.from_numpy(self._landmarks(portrait)[None]).to(self.device)
        mels = torch.from_numpy(windows)[None].to(self.device)
        with autocast("auto", self.device):
            marks = self.network.landmarks(mels, rest)[0]
        moved = marks.float().cpu().numpy()
        if len(moved) >= SMOOTHED_FRAMES:
            moved = savgol_filter(moved, SMOOTHED_FRAMES, DEGREE, axis=0).astype(np.float32)
        maps = draw_landmarks(moved, self.image_size)
        still = crops_to_network(portrait[None], self.image_size, self.device)
        parts = []
        for start in range(0, len(maps), self.batch_frames):
            lines = crops_to_network(maps[start : start + self.batch_frames], self.image_size, self.device)
            with autocast("auto", self.device):
                drawn = self.network.portrait(still.expand(len(lines), -1, -1, -1), lines)
            parts.append(network_to_crops(drawn, self.crop_size))
        return np.concatenate(parts)

    def degrade(self, crops: np.ndarray) -> np.ndarray:
        """Output of a perfect network of this image size: the true crops, with the same change of size."""
        return network_to_crops(crops_to_network(crops, self.image_size, self.device), self.crop_size)

    def _landmarks(self, portrait: np.ndarray) -> np.ndarray:
        """`float32 [22, 2]` as fractions of the side: the mouth, then the eyes."""
        faces = next(iter(self.detector.follow(portrait[None])))
        if not faces:
            raise InputError("no face in the reference frame")
        points = np.concatenate((faces[0].mouth, faces[0].eyes))
        return ((points + 0.5) / len(portrait)).astype(np.float32)


RUN = PortraitTalker
