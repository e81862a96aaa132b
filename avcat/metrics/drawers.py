"""What is evaluated: a drawer turns the true crops of a clip and its sound into the crops that its row shows.

All get the first frame as their reference (paper, section 4.1: it does not show what the lips do later).
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avcat.checkpoint import read_facts
from avcat.errors import InputError
from avcat.face.mask import keep_mask
from avcat.inference.redraw import Redrawer
from avcat.media.mel import mel_windows
from avcat.methods import find, network_of, parts
from avcat.methods.generator import Generator
from avcat.metrics.results import COPY_REFERENCE, GROUND_TRUTH

Crops = NDArray[np.uint8]  # [T, S, S, 3] RGB
REFERENCE_FRAME = 0


class Drawer(Protocol):
    """One row of the tables."""

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        """True crops `[T, S, S, 3]` and the mel `float32 [80, 4 T]` -> the row's crops, of the same shape."""

    def ceiling(self, crops: Crops) -> Crops:
        """What it would show if it knew the truth: the true crops, except for what its picture size loses."""


class GroundTruth:
    """The true frames themselves."""

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        return crops

    def ceiling(self, crops: Crops) -> Crops:
        return crops


class CopyReference:
    """The redrawn region of the reference, pasted into every frame: the floor that audio-driven methods must beat."""

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        redrawn = keep_mask(crops.shape[1]) == 0
        out = crops.copy()
        out[:, redrawn] = crops[REFERENCE_FRAME, redrawn]
        return out

    def ceiling(self, crops: Crops) -> Crops:
        return crops


class Trained:
    """A trained network that redraws frame by frame, composited into the crop as in dubbing."""

    def __init__(self, redrawer: Redrawer) -> None:
        self.redrawer = redrawer

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        reference = self.redrawer.encode_reference(crops[REFERENCE_FRAME])
        return self.redrawer.redraw(crops, mel_windows(mel, np.arange(len(crops))), reference)

    def ceiling(self, crops: Crops) -> Crops:
        return self.redrawer.degrade(crops)


class Talker(Protocol):
    """What the `run.py` of a method gives that does not redraw frame by frame."""

    def talk(self, portrait: np.ndarray, windows: np.ndarray) -> Crops:
        """A crop `uint8 [S, S, 3]` and the windows of T frames `float32 [T, 80, 20]` -> crops `uint8 [T, S, S, 3]`."""

    def degrade(self, crops: Crops) -> Crops:
        """Output of a perfect network of this image size: the true crops, with the same change of size."""


class Talking:
    """Only the reference, moved by the sound; no other frame is used (MakeItTalk)."""

    def __init__(self, talker: Talker) -> None:
        self.talker = talker

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        return self.talker.talk(crops[REFERENCE_FRAME], mel_windows(mel, np.arange(len(crops))))

    def ceiling(self, crops: Crops) -> Crops:
        return self.talker.degrade(crops)


def check_checkpoint(path: Path) -> None:
    """Raises InputError if a file holds no model that could be a method."""
    kind = read_facts(path).kind
    if not issubclass(network_of(kind), Generator) and "run" not in parts(kind):
        raise InputError(f"{path}: holds a model of kind {kind}, which draws no pictures")


def build_drawer(name: str, checkpoint: Path | None, batch_frames: int, device: str) -> Drawer:
    """The drawer of the row `name`, loaded from `checkpoint` except for the two that need no network.

    Raises InputError if the checkpoint is not given or cannot be used.
    """
    if name == GROUND_TRUTH:
        return GroundTruth()
    if name == COPY_REFERENCE:
        return CopyReference()
    if checkpoint is None:
        raise InputError(f"{name}: this method needs a trained model")
    kind = read_facts(checkpoint).kind
    if issubclass(network_of(kind), Generator):
        return Trained(Redrawer.from_checkpoint(checkpoint, device, batch_frames))
    return Talking(find(kind, "run", "RUN").from_checkpoint(checkpoint, device, batch_frames))
