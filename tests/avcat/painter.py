"""A substitute for a trained model with a known result: it paints the redrawn region in one colour."""

from pathlib import Path

import numpy as np
from drawn import ALIGN, MEL, PAINT

from avcat.dubbing import Dubber
from avcat.face.landmarks import FaceDetector
from avcat.face.mask import keep_mask
from avcat.media.video import decode


class Painter:
    """Has the interface of `avcat.inference.redraw.Redrawer`, and records its inputs."""

    workers = 1  # so that its records are in order

    def __init__(self, crop_size: int = 64, batch_frames: int = 7) -> None:
        self.crop_size, self.batch_frames, self.align, self.mel = crop_size, batch_frames, ALIGN, MEL
        self.image_size = crop_size
        self.references: list[np.ndarray] = []
        self.crops: list[np.ndarray] = []
        self.windows: list[np.ndarray] = []

    def start_worker(self) -> None:
        pass

    def encode_reference(self, crop: np.ndarray) -> int:
        assert crop.shape == (self.crop_size, self.crop_size, 3)
        self.references.append(crop)
        return len(self.references)

    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: int | None) -> np.ndarray:
        assert reference is None or 1 <= reference <= len(self.references)
        assert mel_windows.shape == (len(crops), 80, 20)
        assert len(crops) <= self.batch_frames
        self.crops.extend(crops)
        self.windows.extend(mel_windows)
        out = crops.copy()
        out[:, keep_mask(self.crop_size) == 0] = PAINT
        return out


class Keeper(Painter):
    """Gives the crops back as they were: the frame then changes only by the resampling."""

    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: int | None) -> np.ndarray:
        super().redraw(crops, mel_windows, reference)
        return crops


def dub_with(redrawer: Painter, detector: FaceDetector, video: Path, audio: Path, out: Path, **options: object) -> Path:
    Dubber(redrawer, detector).dub(video, audio, out, **options)  # type: ignore[arg-type]
    return out


def images_of(path: Path) -> list[np.ndarray]:
    return [frame.image for frame in decode(path)]


def painted(image: np.ndarray) -> np.ndarray:
    """bool [height, width]: pixels in the painter's colour."""
    return np.abs(image.astype(int) - PAINT).max(axis=-1) < 25
