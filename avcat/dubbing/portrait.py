"""Selects the people to redraw, shot by shot, and aligns each person's face."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

import numpy as np

from avcat.dubbing.observed import Observed
from avcat.dubbing.visible import visibility
from avcat.face.align import AlignConfig, alignment, smooth, transform_points
from avcat.face.landmarks import Face, box_area
from avcat.face.track import Person, Sightings

# The largest faces of those never seen in the same frame, or those that speak; all faces; or a position from left to
# right: 1 is the first, -1 the last.
Which = Literal["largest", "speaker", "all"] | int

_BRIEF_FRAMES = 5  # people seen for less are not counted in the order: often it was no face
_MISSED_FRAMES = 2  # in a row: short detection gaps are bridged, else the source's mouth would flash
_OUTLINE_SIGMA_S = 0.1  # against the outline's jitter, visible along a cheek; the jaw moves slower than this

# If a detector gives no outline: an ellipse that holds most faces. How far below the eyes its middle lies, and its half
# axes, in distances of the eyes.
_BELOW, _HALF_WIDTH, _HALF_HEIGHT, _POINTS = 0.6, 1.1, 1.45, 36


@dataclass(frozen=True)
class Portrait:
    """One person's face, from the first frame that shows it to the last."""

    first: int  # number of the first frame in the video
    found: np.ndarray  # bool [n]: found by the detector
    there: np.ndarray  # bool [n]: found, or in a gap of one or two frames
    matrices: np.ndarray  # float64 [n, 2, 3], from the picture to the crop
    outlines: np.ndarray  # float32 [n, N, 2] of the face in pixels of the crop
    eyes: np.ndarray  # float64 [2, 2]: their median position in the crop
    visible: np.ndarray  # float32 [n] in 0..1: confidence that the mouth is visible
    unusual: np.ndarray  # float32 [n]: `unusualness` of the mouth in the crop

    def at(self, frame: int) -> int | None:
        """The row of a frame of the video, None if it does not show the face."""
        row = frame - self.first
        return row if 0 <= row < self.there.size and self.there[row] else None


class Cast:
    """Index of portraits by frame: a frame lies between the first and last appearance of only a few people."""

    def __init__(self, faces: Sequence[Portrait]) -> None:
        spans = [(face.first, face.first + face.found.size) for face in faces]
        self._changes = sorted({frame for span in spans for frame in span})
        self._people = [
            tuple(number for number, (first, end) in enumerate(spans) if first <= frame < end)
            for frame in self._changes
        ]

    def at(self, frame: int) -> tuple[int, ...]:
        """Numbers of the portraits at a frame, rising."""
        place = bisect_right(self._changes, frame) - 1
        return self._people[place] if place >= 0 else ()


def called(which: Which) -> str:
    """Name of the choice, for messages."""
    return {1: "left", -1: "right"}.get(which, f"number {which}") if isinstance(which, int) else which


def chosen(seen: Sightings, which: Which, speaks: Callable[[Person], float] | None = None) -> list[Person]:
    """The people to redraw, in order of appearance; chosen again in every shot.

    `speaks`: how surely each one does, for "speaker" (`avcat.dubbing.speaking`).
    """
    people: list[Person] = []
    for _, shot in groupby(seen.people, key=lambda person: bisect_right(seen.cuts, person.frames[0])):
        people += _chosen_of_shot(list(shot), which, speaks)
    return people


def _area(person: Person) -> float:
    return sum(box_area(face.box) for face in person.faces)


def _chosen_of_shot(people: Sequence[Person], which: Which, speaks: Callable[[Person], float] | None) -> list[Person]:
    if which == "all":
        return list(people)
    if isinstance(which, int):
        settled = [person for person in people if len(person.frames) >= _BRIEF_FRAMES] or people
        return [person for person in settled if _place(person, settled, from_right=which < 0) == abs(which)]
    if which == "speaker":
        assert speaks is not None, "by a SyncNet"
        return _best(people, speaks)
    return _best(people, _area)


def _best(people: Sequence[Person], weight: Callable[[Person], float]) -> list[Person]:
    """The people of largest total weight who are never in the same frame (weighted interval scheduling).

    By area, over all frames: a speaker who was lost for a while is several people, a listener who never was is one.
    """
    by_end = sorted(people, key=lambda person: person.frames[-1])
    ends = [person.frames[-1] for person in by_end]
    best: list[tuple[float, list[Person]]] = [(0.0, [])]  # of the first n of them
    for person in by_end:
        area, taken = best[bisect_left(ends, person.frames[0])]  # of the people who had left before this one appeared
        area += weight(person)
        best.append((area, [*taken, person]) if area > best[-1][0] else best[-1])
    return best[-1][1]


def _place(person: Person, people: Sequence[Person], *, from_right: bool) -> int:
    """Position among the faces of a frame, counted from 1: the most frequent one in the frames with most faces."""
    others = [dict(zip(p.frames, p.faces, strict=True)) for p in people if p is not person]
    places = []
    for frame, face in zip(person.frames, person.faces, strict=True):
        xs = [_middle(other[frame]) for other in others if frame in other]
        before = sum(x > _middle(face) if from_right else x < _middle(face) for x in xs)
        places.append((len(xs), 1 + before))
    longest = max(length for length, _ in places)
    return Counter(place for length, place in places if length == longest).most_common(1)[0][0]


def _middle(face: Face) -> float:
    return float(face.box[0] + face.box[2]) / 2


def portrait(
    person: Person, times_s: np.ndarray, config: AlignConfig, size: int, pixel_aspect: float = 1.0
) -> Portrait:
    """Crops of side `size` for one person; `times_s` float64 [T] of all frames of the video.

    `pixel_aspect`: width over height of its pixels.
    """
    first, count = person.frames[0], person.frames[-1] - person.frames[0] + 1
    faces = [Observed.of(face) for face in person.faces]
    rows = np.array(person.frames) - first
    found = np.zeros(count, bool)
    found[rows] = True
    eyes, mouths = np.full((count, 2, 2), np.nan, np.float32), np.full((count, 20, 2), np.nan, np.float32)
    eyes[rows] = [face.eyes for face in faces]
    mouths[rows] = [face.mouth for face in faces]
    times_s = times_s[first : first + count]
    matrices = alignment(eyes, times_s, config, size, mouths, pixel_aspect, _moves(faces, rows, count))
    visible = _between(visibility(faces, times_s[rows])[:, None], rows, times_s)[:, 0]
    outlines = _between(_outlines(faces, times_s[rows], matrices[rows]), rows, times_s)
    in_crop = np.median([transform_points(matrices[row], eyes[row]) for row in rows], axis=0)
    in_crops = [transform_points(matrix, mouth) for matrix, mouth in zip(matrices, mouths, strict=True)]
    unusual = unusualness(np.array(in_crops))
    return Portrait(first, found, _there(found), matrices, outlines.reshape(count, -1, 2), in_crop, visible, unusual)


def unusualness(mouths: np.ndarray) -> np.ndarray:
    """Distance of each mouth [n, 20, 2] from the median one, float32 [n] in its pixels; infinite if it is NaN.

    A drawn mouth takes over some of its reference's shape (paper, limitations), so a usual mouth is the best reference.
    """
    unusual = np.full(len(mouths), np.inf, np.float32)
    seen = np.isfinite(mouths).all(axis=(1, 2))
    if seen.any():
        off = np.linalg.norm(mouths[seen] - np.median(mouths[seen], axis=0), axis=-1)
        unusual[seen] = off.mean(axis=1)
    return unusual


def _moves(faces: Sequence[Observed], rows: np.ndarray, count: int) -> np.ndarray:
    """float64 [count, 2]: `Observed.moved` of the faces in some rows, NaN if unknown or from before a gap."""
    moves = np.full((count, 2), np.nan)
    for face, row, before in zip(faces[1:], rows[1:], rows[:-1], strict=True):
        if face.moved is not None and row == before + 1:
            moves[row] = face.moved
    return moves


def _there(found: np.ndarray) -> np.ndarray:
    """bool [n]: `found`, with short gaps (missed detections) filled."""
    there = found.copy()
    rows = np.flatnonzero(found)
    for before, after in pairwise(rows):
        if after - before <= _MISSED_FRAMES + 1:
            there[before:after] = True
    return there


def _between(values: np.ndarray, rows: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """float32 [n, D] at all times, linearly interpolated between the values [N, D] of some rows."""
    return np.stack([np.interp(times_s, times_s[rows], column) for column in values.T], axis=1).astype(np.float32)


def _outlines(faces: Sequence[Face], times_s: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """float64 [N, 72] in pixels of the crop, one row per face, time and matrix."""
    ovals = [_ellipse(face.eyes) if face.oval is None else face.oval for face in faces]
    in_crop = [transform_points(matrix, oval).ravel() for matrix, oval in zip(matrices, ovals, strict=True)]
    return smooth(np.array(in_crop), times_s, _OUTLINE_SIGMA_S, follow_trend=False)


def _ellipse(eyes: np.ndarray) -> np.ndarray:
    """A face's outline [36, 2] from its eyes [2, 2]."""
    across = eyes[1] - eyes[0]
    down = np.array([-across[1], across[0]])
    angle = 2 * np.pi * np.arange(_POINTS)[:, None] / _POINTS
    middle = eyes.mean(axis=0) + _BELOW * down
    return np.asarray(middle + _HALF_WIDTH * np.cos(angle) * across + _HALF_HEIGHT * np.sin(angle) * down)
