"""Whose mouths are redrawn, and where each of their faces lies: chosen shot by shot, and aligned person by person."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from avcat.config import AlignConfig
from avcat.dubbing.visible import visibility
from avcat.face.align import alignment, smooth, transform_points
from avcat.face.landmarks import Face, box_area
from avcat.face.track import Person, Sightings

# The largest face (and, while it is away, the next largest); everybody; or a place in the row of faces from left to
# right: 1 is the first, -1 the last.
Which = Literal["largest", "all"] | int

_BRIEF_FRAMES = 5  # whoever was seen for less has no place in the row: often it was no face
_OUTLINE_SIGMA_S = 0.1  # the outline's jitter would be seen along a cheek; the jaw moves slower than this

# Where a detector tells no outline: an ellipse that holds most faces. How far below the eyes its middle lies, and its
# half axes, in distances of the eyes.
_BELOW, _HALF_WIDTH, _HALF_HEIGHT, _POINTS = 0.6, 1.1, 1.45, 36


@dataclass(frozen=True)
class Portrait:
    """One person's face, from the first frame that shows it to the last."""

    first: int  # the number of that frame in the video
    found: np.ndarray  # bool [n]
    matrices: np.ndarray  # float64 [n, 2, 3], from the picture to the crop
    outlines: np.ndarray  # float32 [n, N, 2] of the face in pixels of the crop
    eyes: np.ndarray  # float64 [2, 2]: where they lie in the crop, in the median
    visible: np.ndarray  # float32 [n] in 0..1: how surely the mouth is seen

    def at(self, frame: int) -> int | None:
        """The row of a frame of the video, None where it does not show the face."""
        row = frame - self.first
        return row if 0 <= row < self.found.size and self.found[row] else None


def chosen(seen: Sightings, which: Which) -> list[Person]:
    """The people to redraw, in the order of their coming; in every shot anew."""
    people: list[Person] = []
    for _, shot in groupby(seen.people, key=lambda person: bisect_right(seen.cuts, person.frames[0])):
        people += _chosen_of_shot(list(shot), which)
    return people


def _chosen_of_shot(people: Sequence[Person], which: Which) -> list[Person]:
    if which == "all":
        return list(people)
    if isinstance(which, int):
        settled = [person for person in people if len(person.frames) >= _BRIEF_FRAMES] or people
        return [person for person in settled if _place(person, settled, from_right=which < 0) == abs(which)]
    taken: list[Person] = []
    for person in sorted(people, key=lambda person: -sum(box_area(face.box) for face in person.faces)):
        if all(_apart(person, other) for other in taken):
            taken.append(person)
    return sorted(taken, key=lambda person: person.frames[0])


def _place(person: Person, people: Sequence[Person], *, from_right: bool) -> int:
    """Place in the row of the faces that a frame shows, counted from 1; of all frames that where the row is longest."""
    others = [dict(zip(p.frames, p.faces, strict=True)) for p in people if p is not person]
    places = []
    for frame, face in zip(person.frames, person.faces, strict=True):
        xs = [_middle(other[frame]) for other in others if frame in other]
        before = sum(x > _middle(face) if from_right else x < _middle(face) for x in xs)
        places.append((len(xs), 1 + before))
    return max(places)[1]


def _middle(face: Face) -> float:
    return float(face.box[0] + face.box[2]) / 2


def _apart(a: Person, b: Person) -> bool:
    """Whether one was gone before the other came."""
    return a.frames[-1] < b.frames[0] or b.frames[-1] < a.frames[0]


def portrait(person: Person, times_s: np.ndarray, config: AlignConfig, size: int) -> Portrait:
    """Crops of side `size` for one person; `times_s` float64 [T] of all frames of the video."""
    first, count = person.frames[0], person.frames[-1] - person.frames[0] + 1
    rows = np.array(person.frames) - first
    found = np.zeros(count, bool)
    found[rows] = True
    eyes, mouths = np.full((count, 2, 2), np.nan, np.float32), np.full((count, 20, 2), np.nan, np.float32)
    eyes[rows] = [face.eyes for face in person.faces]
    mouths[rows] = [face.mouth for face in person.faces]
    matrices = alignment(eyes, times_s[first : first + count], config, size, mouths)
    visible = np.zeros(count, np.float32)
    visible[rows] = visibility(person.faces, times_s[first + rows])
    outlines = _outlines(person.faces, rows, times_s[first + rows], matrices)
    in_crop = np.median([transform_points(matrices[row], eyes[row]) for row in rows], axis=0)
    return Portrait(first, found, matrices, outlines, in_crop, visible)


def _outlines(faces: Sequence[Face], rows: np.ndarray, times_s: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    ovals = [_ellipse(face.eyes) if face.oval is None else face.oval for face in faces]
    in_crop = [transform_points(matrices[row], oval).ravel() for row, oval in zip(rows, ovals, strict=True)]
    outlines = np.full((len(matrices), _POINTS, 2), np.nan, np.float32)
    outlines[rows] = smooth(np.array(in_crop), times_s, _OUTLINE_SIGMA_S, follow_trend=False).reshape(len(rows), -1, 2)
    return outlines


def _ellipse(eyes: np.ndarray) -> np.ndarray:
    """A face's outline [36, 2] by its eyes [2, 2]."""
    across = eyes[1] - eyes[0]
    down = np.array([-across[1], across[0]])
    angle = 2 * np.pi * np.arange(_POINTS)[:, None] / _POINTS
    middle = eyes.mean(axis=0) + _BELOW * down
    return np.asarray(middle + _HALF_WIDTH * np.cos(angle) * across + _HALF_HEIGHT * np.sin(angle) * down)
