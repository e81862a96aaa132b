"""How far a head moved from frame to frame, by its texture.

Landmarks jitter when a head stands still, and what is pasted by them jitters too; smoothed, they lag when it moves.
The texture of brows, eyes and nose measures small movements more precisely (by phase correlation), but only from frame
to frame: sums of them drift. So alignment takes fast movement from the texture and slow movement from the landmarks.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from avcat.ahead import side_by_side
from avcat.dubbing.observed import Observed
from avcat.face.align import warp
from avcat.face.landmarks import Face, FaceDetector, with_pictures
from avcat.face.track import box_iou

_WIDE, _HIGH = 128, 72  # pixels of a patch
_ACROSS = 1.9  # width of a patch in distances of the eyes
_EYES = 0.45  # of its height: position of the eyes
_SAME_SIZE = 0.1  # a face that grew or shrank by less is sampled at the previous scale
_SURE = 0.1  # of the correlation's peak: less is no match
_MOST = 0.15  # distances of the eyes: the error of landmarks is less
_SAME_FACE = 0.3  # intersection over union of the boxes
_WINDOW = cv2.createHanningWindow((_WIDE, _HIGH), cv2.CV_32F)


class _Patch(NamedTuple):
    """The upper part of a face in one frame."""

    box: np.ndarray  # float32 [4]
    middle: np.ndarray  # float64 [2]: between the eyes, where the patch was cut
    distance: float  # of the eyes, by which it was scaled
    grey: np.ndarray  # float32 [_HIGH, _WIDE]


class Following:
    """Wraps a face detector: adds to each face how far it moved since the previous frame."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._before: list[_Patch] = []

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        """The faces in each picture of one clip, with `moved` if the previous picture shows them, too."""
        self._before = []
        found = with_pictures(self._detector, images)
        return side_by_side(self._with_moves, found, workers=1)  # so in order, while the next faces are being found

    def _with_moves(self, found: tuple[np.ndarray, list[Face]]) -> list[Face]:
        image, faces = found
        seen = [_moved(image, face, self._before) for face in faces]
        self._before = [patch for _, patch in seen]
        return [replace(Observed.of(face), moved=moved) for face, (moved, _) in zip(faces, seen, strict=True)]


def _moved(image: np.ndarray, face: Face, before: Sequence[_Patch]) -> tuple[np.ndarray | None, _Patch]:
    """How far the face moved (`Observed.moved`), None if unknown; and its current patch."""
    distance = max(float(np.linalg.norm(face.eyes[1] - face.eyes[0])), 1.0)
    last = max(before, key=lambda patch: box_iou(patch.box, face.box), default=None)
    if last is None or box_iou(last.box, face.box) < _SAME_FACE or abs(distance / last.distance - 1) > _SAME_SIZE:
        return None, _patch(image, face, distance)
    now = _patch(image, face, last.distance)
    shift, peak = cv2.phaseCorrelate(last.grey, now.grey, _WINDOW)
    off = np.array(shift) * _ACROSS * last.distance / _WIDE
    if peak < _SURE or np.linalg.norm(off) > _MOST * distance:
        return None, now
    return now.middle + off - last.middle, now


def _patch(image: np.ndarray, face: Face, distance: float) -> _Patch:
    middle = face.eyes.mean(axis=0, dtype=np.float64)
    scale = _WIDE / (_ACROSS * distance)
    shift = np.array([_WIDE / 2 - 0.5, _EYES * _HIGH - 0.5]) - scale * middle
    matrix = np.concatenate([scale * np.eye(2), shift[:, None]], axis=1)
    grey = cv2.cvtColor(warp(image, matrix, _WIDE)[:_HIGH], cv2.COLOR_RGB2GRAY)
    return _Patch(face.box, middle, distance, grey.astype(np.float32))
