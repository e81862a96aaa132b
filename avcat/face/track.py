"""One face followed through a clip.

The largest face of the first frame that has one is taken; from then on the one that overlaps the last seen box most.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from avcat.data.schema import MOUTH_POINTS
from avcat.face.landmarks import Face, FaceDetector

_MIN_IOU = 0.1  # a face that overlaps the last one less than this is somebody else, unless it was out of sight for long
_FORGET_S = 1.0  # after so long out of sight the largest face is taken again


@dataclass(frozen=True)
class Track:
    """A face over T frames; rows that are not `found` hold NaN until `fill_gaps` interpolates them."""

    times_s: np.ndarray  # float64 [T]
    found: np.ndarray  # bool [T]
    score: np.ndarray  # float32 [T], 0 where not found
    box: np.ndarray  # float32 [T, 4]: x0, y0, x1, y1 in source pixels
    eyes: np.ndarray  # float32 [T, 2, 2]
    mouth: np.ndarray  # float32 [T, 20, 2]

    @property
    def usable(self) -> np.ndarray:
        """bool [T]: found or interpolated."""
        return np.isfinite(self.eyes).all(axis=(1, 2))


def track_faces(timed_images: Iterable[tuple[float, np.ndarray]], detector: FaceDetector) -> Track:
    """Follows one face through (time in s, uint8 [height, width, 3] RGB), streaming. Resets the detector first."""
    detector.reset()
    times: list[float] = []
    faces: list[Face | None] = []
    last: Face | None = None
    last_seen_s = 0.0
    for time_s, image in timed_images:
        if last is not None and time_s - last_seen_s > _FORGET_S:
            last = None
        face = _choose(detector(image), last)
        if face is not None:
            last, last_seen_s = face, time_s
        times.append(time_s)
        faces.append(face)
    return _track(times, faces)


def _choose(faces: list[Face], last: Face | None) -> Face | None:
    if last is None or not faces:
        return faces[0] if faces else None
    best = max(faces, key=lambda face: box_iou(face.box, last.box))
    return best if box_iou(best.box, last.box) >= _MIN_IOU else None


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap
    return float(overlap / union) if union > 0 else 0.0


def _track(times: list[float], faces: list[Face | None]) -> Track:
    count = len(times)
    found = np.array([face is not None for face in faces], bool)
    box = np.full((count, 4), np.nan, np.float32)
    eyes = np.full((count, 2, 2), np.nan, np.float32)
    mouth = np.full((count, MOUTH_POINTS, 2), np.nan, np.float32)
    score = np.zeros(count, np.float32)
    for t, face in enumerate(faces):
        if face is not None:
            box[t], eyes[t], mouth[t], score[t] = face.box, face.eyes, face.mouth, face.score
    return Track(np.array(times, np.float64), found, score, box, eyes, mouth)


def gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each run of frames without a face, from bool [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def longest_gap(found: np.ndarray) -> int:
    """Frames in the longest run without a face."""
    return max((stop - start for start, stop in gaps(found)), default=0)


def fill_gaps(track: Track, max_gap_frames: int) -> Track:
    """Interpolates over time the runs of at most `max_gap_frames` frames; at the ends the nearest face is held.

    `found` and `score` stay as they were: they say what was seen. Longer runs stay NaN.
    """
    if not track.found.any():
        return track
    fill = np.zeros(track.found.size, bool)
    for start, stop in gaps(track.found):
        fill[start:stop] = stop - start <= max_gap_frames

    def filled(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1).copy()
        for column in flat.T:
            column[fill] = np.interp(track.times_s[fill], track.times_s[track.found], column[track.found])
        return flat.reshape(values.shape)

    return replace(track, box=filled(track.box), eyes=filled(track.eyes), mouth=filled(track.mouth))
