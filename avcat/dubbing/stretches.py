"""The stretches of a clip that show its largest face: crops at 25 per second and their mels."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from avcat.data.inputs import InputConfig
from avcat.data.schema import FPS
from avcat.dubbing.portrait import chosen, portrait
from avcat.dubbing.steady import Following
from avcat.face.align import warp
from avcat.face.landmarks import FaceDetector
from avcat.face.track import find_people
from avcat.media.audio import load_audio
from avcat.media.mel import COLUMNS_PER_FRAME, mel_spectrogram
from avcat.media.shots import CutFinder
from avcat.media.video import decode_at, probe

Progress = Callable[[str, int, int], None]
_MAX_GAP = 5  # frames without the face that are bridged


def stretches(
    path: Path,
    inputs: InputConfig,
    image_size: int,
    detector: FaceDetector,
    max_frames: int,
    progress: Progress = lambda *_: None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Crops uint8 [T, S, S, 3], S being `image_size`, and mels float32 [80, 4 T], of the first `max_frames` at most.

    Raises InputError if picture or sound cannot be read.
    """
    end_s = max_frames / FPS
    mel = mel_spectrogram(load_audio(path, inputs.mel.sample_rate, end_s=end_s), inputs.mel)
    count = min(max_frames, mel.shape[1] // COLUMNS_PER_FRAME)
    end_s = count / FPS

    def images() -> Iterator[tuple[float, np.ndarray]]:
        for index, _, image in decode_at(path, FPS, end_s=end_s):
            progress("find faces", index + 1, max(count, index + 1))
            yield index / FPS, image

    seen = find_people(images(), Following(detector), CutFinder())
    aspect = float(probe(path).pixel_aspect)
    for person in chosen(seen, "largest"):
        face = portrait(person, seen.times_s, inputs.align, inputs.crop_size, aspect)
        for start, stop in without_long_gaps(face.found):
            first = face.first + start
            crops = np.empty((stop - start, image_size, image_size, 3), np.uint8)
            grid = decode_at(path, FPS, first / FPS, (face.first + stop) / FPS)
            for (_, _, image), matrix, crop in zip(grid, face.matrices[start:stop], crops, strict=True):
                whole = warp(image, matrix, inputs.crop_size)
                crop[:] = cv2.resize(whole, (image_size, image_size), interpolation=cv2.INTER_AREA)
            yield crops, mel[:, COLUMNS_PER_FRAME * first : COLUMNS_PER_FRAME * (face.first + stop)]


def without_long_gaps(found: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, stop) of the stretches with at most a few frames in a row without the face; `found` bool [T]."""
    rows = np.flatnonzero(found)
    breaks = np.flatnonzero(np.diff(rows) > _MAX_GAP + 1)
    for part in np.split(rows, breaks + 1):
        yield int(part[0]), int(part[-1]) + 1
