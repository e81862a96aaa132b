"""Picture grids as in the paper's figure 4: the same moments of a clip, a row for each method, mouths below."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avcat.errors import InputError
from avcat.metrics.results import decode_strip

Picture = NDArray[np.uint8]  # [H, W, 3] RGB

PICTURE = 160  # side of a frame in the grid
GAP = 4
JPEG_QUALITY = 88  # small enough to be embedded in a page
LABEL = 22  # height of a row's label
WHITE, INK = 255, (40, 40, 40)
BRIGHTEST = 64  # the error, of 255, that is shown brightest
# The mouth's neighbourhood in a crop, as fractions of its side: twice as wide as high, centred at 0.65.
CLOSE_UP_ROWS, CLOSE_UP_COLUMNS = (0.48, 0.82), (0.16, 0.84)


def read_strip(path: Path) -> list[Picture]:
    """The square pictures of a strip, from left to right. Raises InputError if the file is none."""
    try:
        return list(decode_strip(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def grid(rows: Sequence[tuple[str, Sequence[Picture]]]) -> Picture:
    """A labelled grid of (label, pictures) rows: all frames, then the mouths, methods below each other.

    Last come maps of each row's difference from the first, which is the truth, if there are others.
    """
    columns = max(len(pictures) for _, pictures in rows)
    width = columns * (PICTURE + GAP) - GAP
    parts = []
    for label, pictures in rows:
        parts += [_label(label, width), _row([_resized(p, PICTURE, PICTURE) for p in pictures], width)]
    for label, pictures in rows:
        parts += [_label(f"{label}: mouth", width), _row([_close_up(p) for p in pictures], width)]
    (_, truth), *others = rows
    for label, pictures in others:
        maps = [_resized(_error(p, t), PICTURE, PICTURE) for p, t in zip(pictures, truth, strict=True)]
        parts += [_label(f"{label}: error, black 0 to yellow {BRIGHTEST} of 255", width), _row(maps, width)]
    return np.vstack(parts)


def _close_up(picture: Picture) -> Picture:
    side = picture.shape[0]
    top, bottom = (round(side * f) for f in CLOSE_UP_ROWS)
    left, right = (round(side * f) for f in CLOSE_UP_COLUMNS)
    return _resized(picture[top:bottom, left:right], PICTURE, PICTURE // 2)


def _error(picture: Picture, truth: Picture) -> Picture:
    """The mean absolute difference of the three colours, as a picture."""
    difference = np.abs(picture.astype(np.float32) - truth).mean(-1) / BRIGHTEST
    shade = np.clip(255 * difference, 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _row(pictures: Sequence[Picture], width: int) -> Picture:
    row = np.full((pictures[0].shape[0] + GAP, width, 3), WHITE, np.uint8)
    for i, picture in enumerate(pictures):
        left = i * (PICTURE + GAP)
        row[: picture.shape[0], left : left + PICTURE] = picture
    return row


def _label(text: str, width: int) -> Picture:
    band = np.full((LABEL, width, 3), WHITE, np.uint8)
    cv2.putText(band, text, (2, LABEL - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return band


def _resized(picture: Picture, width: int, height: int) -> Picture:
    smaller = picture.shape[0] > height
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=way).astype(np.uint8, copy=False)
