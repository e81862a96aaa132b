"""What no mean of pixels or landmarks sees: mouths that are blurred, that move too little, or that flicker.

All three in the box of the true mouth, grown by half; frames in which it was not found do not count.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from avcat.metrics.pair import SCORED, Pair

GROWN = 1.5
FINE = 1 / 128  # of the side: the standard deviation of the blur whose rest is detail, 2 px of 256
STILL = 2.0  # levels: where the truth changes by no more between frames, what is drawn should not


def measure(pair: Pair) -> dict[str, float]:
    """`mouth_detail`, `motion`, `flicker`."""
    boxes = mouth_boxes(pair.truth_marks.mouth, pair.truth.shape[1])
    found = [t for t in range(len(boxes))[SCORED] if boxes[t] is not None]
    return {
        "mouth_detail": _share(_detail(pair.drawn, boxes, found), _detail(pair.truth, boxes, found)),
        "motion": motion(pair.truth_marks.mouth[SCORED], pair.marks.mouth[SCORED]),
        "flicker": _flicker(pair, boxes, found),
    }


def mouth_boxes(mouths: NDArray[np.float32], side: int) -> list[tuple[slice, slice] | None]:
    """Rows and columns around each mouth `[T, 20, 2]` in a picture of that side; None if it was not found."""
    boxes: list[tuple[slice, slice] | None] = []
    for mouth in mouths:
        if not np.isfinite(mouth).all():
            boxes.append(None)
            continue
        low, high = mouth.min(0), mouth.max(0)
        middle, half = (low + high) / 2, np.maximum((high - low) / 2 * GROWN, side / 32)
        (x0, y0), (x1, y1) = np.floor(middle - half).astype(int), np.ceil(middle + half).astype(int) + 1
        box = slice(max(y0, 0), min(y1, side)), slice(max(x0, 0), min(x1, side))
        boxes.append(box if box[0].start < box[0].stop and box[1].start < box[1].stop else None)
    return boxes


def _detail(crops: NDArray[np.uint8], boxes: list[tuple[slice, slice] | None], found: list[int]) -> float:
    """Sum over frames of the mean energy of what a slight blur removes, in levels squared."""
    total = 0.0
    for t in found:
        grey = cv2.cvtColor(crops[t], cv2.COLOR_RGB2GRAY).astype(np.float32)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), FINE * len(grey))
        total += float(np.square(fine[boxes[t]]).mean())
    return total


def motion(truth: NDArray[np.float32], drawn: NDArray[np.float32]) -> float:
    """How far the points `[T, 20, 2]` of the drawn mouth move beside its middle, over how far those of the true do.

    Over pairs of frames in which both were found; NaN if there are none.
    """
    paths = [np.linalg.norm(np.diff(m - m.mean(1, keepdims=True), axis=0), axis=-1).mean(1) for m in (truth, drawn)]
    both = np.isfinite(paths).all(0)
    return _share(float(paths[1][both].sum()), float(paths[0][both].sum()))


def _flicker(pair: Pair, boxes: list[tuple[slice, slice] | None], found: list[int]) -> float:
    """Mean change between frames, in levels, of drawn pixels where the true ones stay the same."""
    changes = np.concatenate([np.zeros(0, np.float32), *_changes(pair, boxes, found)])
    return float(changes.mean()) if changes.size else float("nan")


def _changes(pair: Pair, boxes: list[tuple[slice, slice] | None], found: list[int]) -> Iterator[NDArray[np.float32]]:
    for t in found:
        if t - 1 < SCORED.start or boxes[t - 1] is None:
            continue
        truth, drawn = (
            np.abs(clip[t][boxes[t]].astype(np.float32) - clip[t - 1][boxes[t]]).mean(-1)
            for clip in (pair.truth, pair.drawn)
        )
        yield drawn[truth <= STILL]


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
