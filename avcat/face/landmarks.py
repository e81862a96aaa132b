"""Faces in pictures: one protocol, and MediaPipe's Face Mesh behind it (RetinaFace: `avcat.face.retinaface`).

Left is left in the image. The mouth is 20 points in the order of dlib's 48..67. The centre of an eye is the mean of its
two corners: a blink moves the lids, not the corners.
"""

import os
import re
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

EYE_CORNERS = ((33, 133), (362, 263))  # Face Mesh points: left eye, right eye

# Face Mesh points in the order of dlib's mouth. dlib 48 and 54 are the outer corners, 51 and 57 the middle of the upper
# and lower lip, 60 and 64 the inner corners, 62 and 66 the middle of the lips' inner edges.
MOUTH = (
    *(61, 40, 37, 0, 267, 270, 291),  # 48..54, outer edge of the upper lip, left to right
    *(321, 314, 17, 84, 91),  # 55..59, outer edge of the lower lip, right to left
    *(78, 81, 13, 311, 308),  # 60..64, inner edge of the upper lip, left to right
    *(402, 14, 178),  # 65..67, inner edge of the lower lip, right to left
)
LEFT_CORNER, RIGHT_CORNER = 0, 6  # indices of the outer corners in it

# The outline of the face, clockwise from the middle of the forehead.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)

_MAX_SIDE = 1280  # larger pictures are shrunk first: equally steady, and several times faster
_CHATTER = re.compile(
    rb"XNNPACK delegate|absl::InitializeLog|inference_feedback_manager|landmark_projection_calculator"
)

_STDERR = threading.RLock()  # else another thread would save our file as stderr and restore it


@dataclass(frozen=True)
class Face:
    """One face, in pixels of the picture it was found in."""

    box: np.ndarray  # float32 [4]: x0, y0, x1, y1
    score: float  # 0..1
    eyes: np.ndarray  # float32 [2, 2]: left, right
    mouth: np.ndarray  # float32 [20, 2]; NaN for points that the detector does not give
    oval: np.ndarray | None = None  # float32 [36, 2], the outline (`OVAL`); None if the detector gives none


class FaceDetector(Protocol):
    """Finds faces."""

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        """The faces in each picture of one clip, uint8 [height, width, 3] RGB, largest first; empty if there is none.

        May read a few pictures ahead, and use results of earlier ones. One clip at a time.
        """
        ...


def with_pictures(detector: FaceDetector, images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, list[Face]]]:
    """Each picture of a clip with its faces, however many pictures the detector reads ahead."""
    taken: deque[np.ndarray] = deque()

    def kept() -> Iterator[np.ndarray]:
        for image in images:
            taken.append(image)
            yield image

    return ((taken.popleft(), faces) for faces in detector.follow(kept()))


class Solution:
    """A solution of `mediapipe`, with the models in its wheel; CPU. Tracks what it found through a clip."""

    def __init__(self, build: Callable[[], Any], found: str, max_side: int) -> None:
        """`build` makes it; `found`: where its results have the landmarks; larger pictures are shrunk to `max_side`."""
        self._found, self._max_side = found, max_side
        with without_chatter():
            self._solution = build()
            self._start()

    def _start(self) -> None:
        self._solution.process(np.zeros((64, 64, 3), np.uint8))  # starts its threads, which print log lines
        self._settled = False  # they print again after the first find

    def forget(self) -> None:
        """To be called before another clip: else what the last one showed would be tracked into it."""
        with without_chatter():
            self._solution.reset()
            self._start()

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The landmarks of each find, float32 [N, 2] in pixels, in uint8 [height, width, 3] RGB."""
        height, width = image.shape[:2]
        shrink = self._max_side / max(height, width)
        if shrink < 1:
            small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        with nullcontext() if self._settled else without_chatter():
            finds = getattr(self._solution.process(np.ascontiguousarray(image)), self._found) or []
        self._settled |= bool(finds)
        size = np.array([width, height])
        # MediaPipe's origin is the corner of the picture; ours is the centre of its first pixel.
        points = [np.array([(p.x, p.y) for p in find.landmark]) * size - 0.5 for find in finds]
        return [each.astype(np.float32) for each in points]


class MediaPipeDetector:
    """Face Mesh. It gives no score beyond its own threshold, so the score of its faces is 1."""

    def __init__(self, max_faces: int = 1, min_score: float = 0.5) -> None:
        def build() -> Any:
            from mediapipe.python.solutions.face_mesh import FaceMesh  # slow to import, and not needed for training

            return FaceMesh(
                max_num_faces=max_faces, min_detection_confidence=min_score, min_tracking_confidence=min_score
            )

        self._find = Solution(build, "multi_face_landmarks", _MAX_SIDE)

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        """The faces in each picture of a clip. Resets the tracker, so faces of the last clip do not leak in."""
        self._find.forget()
        return map(self._faces, images)

    def _faces(self, image: np.ndarray) -> list[Face]:
        return sorted(map(_face, self._find(image)), key=lambda face: -box_area(face.box))


def box_area(box: np.ndarray) -> float:
    """Square pixels of x0, y0, x1, y1."""
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _face(points: np.ndarray) -> Face:
    """A Face from the mesh's float32 [468, 2]."""
    oval = points[list(OVAL)]
    return Face(
        box=np.concatenate([oval.min(axis=0), oval.max(axis=0)]),
        score=1.0,
        eyes=np.stack([points[list(corners)].mean(axis=0) for corners in EYE_CORNERS]),
        mouth=points[list(MOUTH)],
        oval=oval,
    )


@contextmanager
def without_chatter() -> Iterator[None]:
    """Removes MediaPipe's start-up lines, which no setting disables, from stderr; other lines pass, delayed."""
    sys.stderr.flush()
    with _STDERR, tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _CHATTER.search(line):
                    os.write(2, line)
