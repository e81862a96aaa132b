"""Faces tracked through a clip: position of each person per frame, selection of the speaker, interpolation of gaps.

Faces of neighbouring frames that overlap belong to one person; at a cut all people are new.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from avcat.data.schema import MOUTH_POINTS
from avcat.face.landmarks import Face, FaceDetector, box_area

_MIN_IOU = 0.1  # faces that overlap less belong to two people
_FORGET_S = 1.0  # a person out of sight for longer counts as new


@dataclass(frozen=True)
class Track:
    """A face over T frames; rows that are not `found` hold NaN until `fill_gaps` interpolates them."""

    times_s: np.ndarray  # float64 [T]
    found: np.ndarray  # bool [T]
    score: np.ndarray  # float32 [T], 0 if not found
    box: np.ndarray  # float32 [T, 4]: x0, y0, x1, y1 in source pixels
    eyes: np.ndarray  # float32 [T, 2, 2]
    mouth: np.ndarray  # float32 [T, 20, 2]


@dataclass
class Person:
    """One face: numbers of the frames that show it, rising, and the face in each."""

    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)


@dataclass(frozen=True)
class Sightings:
    """All people seen in a clip, in order of appearance."""

    times_s: np.ndarray  # float64 [T], of all frames
    size: tuple[int, int]  # width and height of the pictures, 0 if there were none
    people: list[Person]
    cuts: list[int]  # first frames of new shots


def find_people(
    timed_images: Iterable[tuple[float, np.ndarray]],
    detector: FaceDetector,
    is_cut: Callable[[np.ndarray], bool] | None = None,
) -> Sightings:
    """Tracks all faces through (time in s, uint8 [height, width, 3] RGB), streaming; keeps faces, not pictures."""
    times: list[float] = []
    cuts: set[int] = set()
    size = [(0, 0)]

    def images() -> Iterator[np.ndarray]:
        for time_s, image in timed_images:
            if is_cut is not None and is_cut(image):
                cuts.add(len(times))
            times.append(time_s)
            size[0] = image.shape[1], image.shape[0]
            yield image

    people: list[Person] = []
    present: list[Person] = []
    for frame, faces in enumerate(detector.follow(images())):
        present = [p for p in present if frame not in cuts and times[frame] - times[p.frames[-1]] <= _FORGET_S]
        for person, face in _match(present, faces):
            if person is None:
                person = Person()
                people.append(person)
                present.append(person)
            person.frames.append(frame)
            person.faces.append(face)
    return Sightings(np.array(times, np.float64), size[0], people, sorted(cuts))


def _match(present: Sequence[Person], faces: Sequence[Face]) -> list[tuple[Person | None, Face]]:
    """Each face with the person whose last box it overlaps most, the best pairs first; None if it is new."""
    pairs = sorted(
        ((box_iou(p.faces[-1].box, face.box), i, j) for i, p in enumerate(present) for j, face in enumerate(faces)),
        reverse=True,
    )
    whose: dict[int, int] = {}
    for iou, i, j in pairs:
        if iou >= _MIN_IOU and i not in whose.values() and j not in whose:
            whose[j] = i
    return [(present[whose[j]] if j in whose else None, face) for j, face in enumerate(faces)]


def speaker(seen: Sightings, how: Literal["largest", "central"]) -> Person:
    """The speaker by area or closeness to the picture's middle, summed over the frames. Needs at least one person."""
    middle = np.array(seen.size) / 2

    def weight(face: Face) -> float:
        if how == "largest":
            return box_area(face.box)
        centre = (face.box[:2] + face.box[2:]) / 2
        return max(0.0, 1 - float(np.linalg.norm((centre - middle) / middle)) / 2**0.5)

    return max(seen.people, key=lambda person: sum(map(weight, person.faces)))


def track_of(seen: Sightings, *people: Person) -> Track:
    """The track of one person, or of several in sequence: if two are seen in one frame, the first is used."""
    count = len(seen.times_s)
    found = np.zeros(count, bool)
    box = np.full((count, 4), np.nan, np.float32)
    eyes = np.full((count, 2, 2), np.nan, np.float32)
    mouth = np.full((count, MOUTH_POINTS, 2), np.nan, np.float32)
    score = np.zeros(count, np.float32)
    for person in people:
        for t, face in zip(person.frames, person.faces, strict=True):
            if not found[t]:
                box[t], eyes[t], mouth[t], score[t], found[t] = face.box, face.eyes, face.mouth, face.score, True
    return Track(seen.times_s, found, score, box, eyes, mouth)


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap
    return float(overlap / union) if union > 0 else 0.0


def gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """(start, stop) of each run of frames without a face, from bool [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def longest_gap(found: np.ndarray) -> int:
    """Frames in the longest run without a face."""
    return max((stop - start for start, stop in gaps(found)), default=0)


def fill_gaps(track: Track, max_gap_frames: int) -> Track:
    """Interpolates over time the runs of at most `max_gap_frames` frames; at the ends the nearest face is held.

    `found` and `score` are unchanged: they record detections. Longer runs stay NaN.
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
