"""What the first pass decides and the second one carries out: whose mouths, with which sound, in which frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from avcat.dubbing.portrait import Cast, Portrait, Which
from avcat.dubbing.speech import Speech
from avcat.media.timeline import Fit, Length, Shown
from avcat.media.video import VideoInfo

_SOON_S = 1e-6  # before the sound's end: a frame from then on hears nothing of it
_HIDDEN = 0.5  # of visibility: less is reported as hidden

# The frame nearest to a time in s, that of the most usual mouth, the first; same: each frame is its own reference.
ReferenceFrame = float | Literal["usual", "first", "same"]


@dataclass(frozen=True)
class Mix:
    """A sound under the new one."""

    level_db: float
    track: Path | None = None  # None: the video's own


@dataclass(frozen=True)
class DubSettings:
    """How a video is dubbed."""

    faces: Which = "largest"  # whose mouths the sound moves
    voices: Mapping[Which, Path] = field(default_factory=dict)  # instead: a separate sound for each of these faces
    syncnet: Path | None = None  # by which "speaker" is chosen
    fit: Fit = "pingpong"  # what is shown if the sound is longer than the video
    mix: Mix | None = None  # what is heard under the sound
    length: Length = "sound"  # how long the result lasts; as the video: what comes after the sound is not redrawn
    reference: ReferenceFrame = "usual"  # the frame that shows the network the person's appearance
    offset_s: float = 0.0  # how much later than the sound mouths move
    kept_faces: Path | None = None  # a file of the first pass's faces: read if it is there, else written
    fade_hidden: bool = True  # keep the source's mouth while something hides it
    sharpen: bool = True  # give faces larger than the network's pictures the detail of their source, within bounds


@dataclass(frozen=True)
class Voiced:
    """One face and the sound that moves its mouth."""

    face: Portrait
    speech: Speech


@dataclass(frozen=True)
class Plan:
    """Input of the second pass."""

    info: VideoInfo
    times_s: np.ndarray  # float64 [T] of the source's frames
    people: list[Voiced]
    cast: Cast  # the people's faces
    shown: list[Shown]
    settings: DubSettings
    sound_s: float  # when the sound ends; frames from then on are the source's
    warnings: tuple[str, ...]

    def faces(self, frame: int) -> Iterator[tuple[int, Portrait, int]]:
        """The faces in a frame of the source: the person's number, their portrait and its row."""
        for person in self.cast.at(frame):
            face = self.people[person].face
            if (row := face.at(frame)) is not None:
                yield person, face, row

    def is_heard(self, shown: Shown) -> bool:
        """Whether there is sound when a frame begins; without it the frame stays the source's."""
        return float(shown.pts * self.info.time_base) < self.sound_s - _SOON_S

    @property
    def end_s(self) -> float:
        """How long the result lasts."""
        return float((self.shown[-1].pts + self.shown[-1].duration) * self.info.time_base)

    def reference_row(self, face: Portrait) -> int:
        """The row of a portrait that the settings select as reference: if possible, one with a visible mouth."""
        rows, wanted = np.flatnonzero(face.found), self.settings.reference
        if (face.visible >= _HIDDEN).any():
            rows = rows[face.visible[rows] >= _HIDDEN]
        if wanted == "usual":
            off = face.unusual[rows]
        elif wanted == "first":
            off = rows
        else:
            off = np.abs(self.times_s[face.first + rows] - wanted)
        return int(rows[off.argmin()])

    def hidden_s(self) -> list[tuple[float, float]]:
        """(start, end) of stretches in which the result leaves a mouth unchanged because it is hidden."""
        tick = float(self.info.time_base)
        runs = [(hidden, list(run)) for hidden, run in groupby(self.shown, self._hides)]
        return [(run[0].pts * tick, (run[-1].pts + run[-1].duration) * tick) for hidden, run in runs if hidden]

    def _hides(self, shown: Shown) -> bool:
        return self.is_heard(shown) and any(face.visible[row] < _HIDDEN for _, face, row in self.faces(shown.source))
