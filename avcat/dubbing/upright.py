"""Whether the landmarks of a face are to be believed: those of a face on its head are not.

Face Mesh finds a face on its head, too, with eyes on its chin and a mouth on its forehead. But then it finds another
face in the mirrored picture; a true one is the same, mirrored.
"""

from collections.abc import Sequence

import numpy as np

from avcat.face.landmarks import Face, FaceDetector

SAMPLES = 5  # pictures that are enough to tell
_UNLIKE = 0.12  # distances of the eyes: measured up to 0.07 for faces that stand, 0.04 to 0.6 for those that do not
_BETTER = 0.5  # how much more alike the faces of the turned pictures have to be


def on_their_heads(detector: FaceDetector, images: Sequence[np.ndarray]) -> bool:
    """Whether the largest face in pictures uint8 [H, W, 3], of one video, stands on its head in most of them."""
    as_is = float(np.median([unlikeness(detector, image) for image in images]))
    if as_is <= _UNLIKE:
        return False
    turned = np.median([unlikeness(detector, np.ascontiguousarray(image[::-1, ::-1])) for image in images])
    return bool(turned < _BETTER * as_is and turned <= _UNLIKE)


def unlikeness(detector: FaceDetector, image: np.ndarray) -> float:
    """Largest distance between a face and the one in the mirrored picture, in distances of its eyes; inf if none is."""
    one, other = (_largest(detector, picture) for picture in (image, np.ascontiguousarray(image[:, ::-1])))
    if one is None or other is None:
        return np.inf
    points = np.concatenate((one.eyes, one.mouth.mean(0, keepdims=True)))
    mirrored = np.concatenate((other.eyes[::-1], other.mouth.mean(0, keepdims=True)))
    mirrored[:, 0] = image.shape[1] - 1 - mirrored[:, 0]
    size = max(float(np.linalg.norm(one.eyes[1] - one.eyes[0])), 1.0)
    off = float(np.linalg.norm(points - mirrored, axis=1).max() / size)
    return off if np.isfinite(off) else 0.0  # a detector without a mouth


def _largest(detector: FaceDetector, image: np.ndarray) -> Face | None:
    faces = next(iter(detector.follow([image])), [])
    return faces[0] if faces else None
