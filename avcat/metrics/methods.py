"""What is evaluated: a method turns the true crops of a clip and its sound into the crops it would show.

All methods get the first frame as their reference (paper, section 4.1: it does not show what the lips do later).
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avcat.checkpoint import check_kind, read_facts
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.mask import keep_mask
from avcat.inference.redraw import KINDS, Redrawer
from avcat.inference.talk import KIND as TALKING
from avcat.inference.talk import Talker
from avcat.media.mel import mel_windows

Crops = NDArray[np.uint8]  # [T, S, S, 3] RGB
REFERENCE_FRAME = 0
GROUND_TRUTH, COPY_REFERENCE = "ground-truth", "copy-reference"


class Method(Protocol):
    """One row of the tables."""

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        """True crops `[T, S, S, 3]` and the mel `float32 [80, 4 T]` -> this method's crops, of the same shape."""

    def ceiling(self, crops: Crops) -> Crops:
        """What the method would show if it knew the truth: the true crops, except for what its picture size loses."""


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


class Talking:
    """MakeItTalk: only the reference, moved by the sound; it uses no other frame."""

    def __init__(self, talker: Talker) -> None:
        self.talker = talker

    def draw(self, crops: Crops, mel: NDArray[np.float32]) -> Crops:
        return self.talker.talk(crops[REFERENCE_FRAME], mel_windows(mel, np.arange(len(crops))))

    def ceiling(self, crops: Crops) -> Crops:
        return self.talker.degrade(crops)


def check_checkpoint(path: Path) -> None:
    """Raises InputError if a file holds no model that could be a method."""
    check_kind(path, read_facts(path).kind, (*KINDS, TALKING))


def build_method(name: str, checkpoint: Path | None, batch_frames: int, device: str) -> Method:
    """The method called `name`, loaded from `checkpoint` except for the two that need no network.

    Raises InputError if the checkpoint is not given or cannot be used.
    """
    if name == GROUND_TRUTH:
        return GroundTruth()
    if name == COPY_REFERENCE:
        return CopyReference()
    if checkpoint is None:
        raise InputError(f"{name}: this method needs a trained model")
    if read_facts(checkpoint).kind == TALKING:
        return Talking(Talker.from_checkpoint(checkpoint, MediaPipeDetector(), device, batch_frames))
    return Trained(Redrawer.from_checkpoint(checkpoint, device, batch_frames))
