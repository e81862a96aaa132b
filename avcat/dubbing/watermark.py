"""An invisible watermark in redrawn mouths: embedded frame by frame, detected over a whole clip.

The lower face is a grid of cells that moves with the eyes, so that cropping and rescaling do not shift it. Every
`CHIP_S` seconds each cell becomes a little brighter or darker, by signs drawn once and repeated after `CHIPS` of them.
The constant part of a face cancels, since each sign is as often plus as minus; the rest is summed over all cells and
the whole clip, for every moment at which the signs may begin.

The confidence needs no statistics of faces. Over random draws of the signs, the sum for a clip without a mark is a sum
of numbers with random signs. Such a sum exceeds z of its standard deviations at most 3.18 times as often as a normal
variable does (Bentkus and Dzindzalieta, A tight Gaussian bound for weighted sums of Rademacher random variables,
Bernoulli 21(2), 2015). That, times the number of sums tested, bounds the chance of a false alarm.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.special import ndtr

from avcat.ahead import ahead
from avcat.errors import InputError
from avcat.face.align import AlignConfig, alignment, warp
from avcat.face.landmarks import FaceDetector
from avcat.face.mask import redrawn_rows_and_columns
from avcat.face.track import find_people
from avcat.media.container import Notes
from avcat.media.reader import FrameReader
from avcat.media.shots import CutFinder
from avcat.media.video import decode, probe
from avcat.seeding import rng_of

Progress = Callable[[str, int, int], None]  # name of the step, items done, items in all
CHIP_S = 0.08  # two frames: shorter ones are lost to H.264's prediction between pictures, longer ones look like motion
CHIPS = 32
ROWS, COLUMNS = 5, 8
FALSE_ALARM = 1e-6  # a clip with a smaller chance of a false alarm counts as marked

_CELL = 0.22  # side of a cell in distances of the eyes
_LEFT, _ABOVE = 0.38, 0.82  # where the grid begins: beside the left eye, and how far below it
_RMS, _MOST = 1.9, 4.0  # levels of 255: over the redrawn region, which is 42.5 dB, and of a single cell
_SIDE = COLUMNS * _CELL
_ALIGN = AlignConfig(  # to a square whose upper part is the grid; smoother than dubbing's, since cells are large
    left_eye=(_LEFT / _SIDE, -_ABOVE / _SIDE),
    right_eye=((_LEFT + 1) / _SIDE, -_ABOVE / _SIDE),
    position_sigma_s=0.08,
    scale_sigma_s=0.5,
)
_SIGNS = rng_of("watermark", 1).choice(np.array([-1.0, 1.0], np.float32), (CHIPS, ROWS, COLUMNS))

_STEPS = 2  # per chip: resolution of the search for the moment at which the signs begin
_SAMPLE_S = CHIP_S / _STEPS
_FINE = 4  # pixels per side of a cell, so that pixels of a moving lip get less weight
_STILL_S = 0.2  # sigma of the mean that is subtracted: slower changes are the face's own
_QUIET = 1.0  # levels: noise below this counts as none
_OUTLIER = 1.5  # deviations: values beyond this are compressed
_WINDOW_S, _LEAST_S = 10.0, 1.0  # length of windows judged separately; shortest window that is judged
_NOTHING = 1e-9
_RADEMACHER = 3.18  # of Bentkus and Dzindzalieta
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Verdict:
    """Result of the search in a clip."""

    false_alarm: float  # upper bound on the chance that a clip without a mark scores as high
    faces: int  # number of faces examined
    at_s: tuple[float, float]  # (start, end) of the stretch with the strongest mark

    @property
    def marked(self) -> bool:
        """Whether it carries the mark."""
        return self.false_alarm < FALSE_ALARM


def mark(crop: np.ndarray, alpha: np.ndarray, time_s: float, eyes: np.ndarray) -> np.ndarray:
    """A crop with the mark for the time `time_s` of the clip: uint8 [S, S, 3], like `crop`.

    alpha: float32 [S, S] in 0..1, how much of the crop will be pasted. It scales the mark, so that the pasted mark is
    42 dB below full scale over the redrawn region. eyes: [2, 2], their position in the crop.
    """
    size = len(crop)
    pattern = _pattern(time_s, eyes, size)
    pasted = (alpha * pattern)[redrawn_rows_and_columns(size)]
    levels = min(_MOST, _RMS / max(float(np.sqrt(np.square(pasted).mean())), _NOTHING))
    return np.clip(crop + levels * pattern[:, :, None] + 0.5, 0, 255).astype(np.uint8)


def _pattern(time_s: float, eyes: np.ndarray, size: int) -> np.ndarray:
    """float32 [size, size], about -1..1: the signs at a time, smooth from cell to cell, 0 outside the grid."""
    chip = int((time_s + _SAMPLE_S / 4) / CHIP_S) % CHIPS  # a frame may come a tick early
    to_cells = alignment(eyes[None], np.zeros(1), _ALIGN, COLUMNS)[0]
    return cv2.warpAffine(_SIGNS[chip], to_cells, (size, size), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def verify(path: str | Path, detector: FaceDetector, progress: Progress = lambda *_: None) -> Verdict:
    """Looks for the mark in all faces of a video; memory hardly grows with the length.

    Raises InputError if the file cannot be read, or shows no face for long enough.
    """
    info = probe(path)
    expected = round(info.duration_s * info.fps)

    def timed() -> Iterator[tuple[float, np.ndarray]]:
        for frame in ahead(decode(path, notes=Notes(path)), 2):
            yield frame.time_s, frame.image
            progress("find faces", frame.index + 1, max(expected, frame.index + 1))

    seen = find_people(timed(), detector, CutFinder())
    long = [p for p in seen.people if seen.times_s[p.frames[-1]] - seen.times_s[p.frames[0]] >= _LEAST_S]
    found: list[Verdict] = []
    for number, person in enumerate(long, 1):
        reader = FrameReader(path, seen.times_s)
        images = (reader[frame].image for frame in person.frames)
        eyes = np.array([face.eyes for face in person.faces])
        found.append(find(images, eyes, seen.times_s[person.frames], float(info.pixel_aspect)))
        progress("look at faces", number, len(long))
    if not found:
        raise InputError(f"{path}: no face that is seen for {_LEAST_S:g} s or longer, so there is nothing to verify")
    best = min(found, key=lambda verdict: verdict.false_alarm)
    return replace(best, false_alarm=min(1.0, len(found) * best.false_alarm), faces=len(found))


def find(images: Iterator[np.ndarray], eyes: np.ndarray, times_s: np.ndarray, pixel_aspect: float = 1.0) -> Verdict:
    """Looks for the mark in one face.

    images: uint8 [height, width, 3] RGB of T frames. eyes: float32 [T, 2, 2] in their pixels, which are `pixel_aspect`
    times as wide as high. times_s: float64 [T].
    """
    matrices = alignment(eyes, times_s, _ALIGN, COLUMNS * _FINE, pixel_aspect=pixel_aspect)
    cells = (
        warp(image, matrix, COLUMNS * _FINE)[: ROWS * _FINE] @ _GREY
        for image, matrix in zip(images, matrices, strict=True)
    )
    whole = np.zeros((_STEPS, CHIPS, ROWS * COLUMNS))
    windows, best, best_s = 0, 0.0, (0.0, 0.0)
    for part in _windows(times_s):
        seen = np.stack(list(islice(cells, len(part))))
        if part[-1] - part[0] < _LEAST_S:
            continue
        folded = _folded(seen, part)
        whole += folded
        windows += 1
        if (z := _highest(folded)) > best:
            best, best_s = z, (float(part[0]), float(part[-1]))
    if windows > 1 and (z := _highest(whole)) > best:
        best, best_s = z, (float(times_s[0]), float(times_s[-1]))
    sums = _STEPS * CHIPS * max(1, windows + (windows > 1))
    return Verdict(min(1.0, sums * _RADEMACHER * float(ndtr(-best))), 1, best_s)


def _windows(times_s: np.ndarray) -> list[np.ndarray]:
    """The times of consecutive stretches of equal length, about `_WINDOW_S` each."""
    count = max(1, round(float(times_s[-1] - times_s[0]) / _WINDOW_S))
    return np.array_split(times_s, count)


def _folded(cells: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Brightness change of each cell in each chip: float64 [_STEPS, CHIPS, cells], per start within a chip.

    cells: float32 [T, ROWS * _FINE, COLUMNS * _FINE] brightness. The signs are not used here.
    """
    first, last = (int(np.ceil(times_s[0] / _SAMPLE_S)), int(np.floor(times_s[-1] / _SAMPLE_S)))
    moving = _even(_per_cell(_sampled(cells, times_s, np.arange(first, last + 1) * _SAMPLE_S)))
    together = moving.T @ moving / len(moving)  # correlation between cells, which the signs do not have
    clean = _even(moving @ np.linalg.inv(together + np.eye(len(together))))
    held = uniform_filter1d(clean, _STEPS, axis=0, mode="constant", origin=-(_STEPS // 2))
    held = np.tanh(held / (_OUTLIER * max(float(held.std()), _NOTHING)))
    out = np.zeros((_STEPS, CHIPS, ROWS * COLUMNS))
    number = np.arange(first, first + len(held))
    np.add.at(out, (number % _STEPS, number // _STEPS % CHIPS), held)
    return out


def _even(cells: np.ndarray) -> np.ndarray:
    """Every cell scaled to a standard deviation of 1, or 0 if it does not change."""
    return np.asarray(cells / np.maximum(cells.std(axis=0), _NOTHING))


def _sampled(values: np.ndarray, times_s: np.ndarray, wanted_s: np.ndarray) -> np.ndarray:
    """Values [T, ...] at other times, linearly interpolated."""
    after = np.clip(np.searchsorted(times_s, wanted_s), 1, len(times_s) - 1)
    share = (wanted_s - times_s[after - 1]) / (times_s[after] - times_s[after - 1])
    share = np.clip(share, 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((1 - share) * values[after - 1] + share * values[after])


def _per_cell(values: np.ndarray) -> np.ndarray:
    """float64 [T, cells]: fast changes of brightness; noisier pixels of a cell have less weight."""
    fast = values - gaussian_filter1d(values, _STILL_S / _SAMPLE_S, axis=0, mode="nearest")
    noise = 1.5 * np.median(np.abs(fast), axis=0) + _QUIET
    fast = _OUTLIER * noise * np.tanh(fast / (_OUTLIER * noise))

    def summed(pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(-1, ROWS, _FINE, COLUMNS, _FINE).sum(axis=(2, 4)).reshape(-1, ROWS * COLUMNS)

    weight = noise**-2
    return summed(fast * weight) / summed(weight)


def _highest(folded: np.ndarray) -> float:
    """The largest sum with the signs, in standard deviations, over all moments at which they may begin."""
    deviation = np.sqrt(np.square(folded).sum(axis=(1, 2)))
    signs = _SIGNS.reshape(CHIPS, -1)
    sums = [[(part * np.roll(signs, shift, axis=0)).sum() for shift in range(CHIPS)] for part in folded]
    return float((np.array(sums) / np.maximum(deviation, _NOTHING)[:, None]).max())
