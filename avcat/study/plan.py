"""The content of a study: its clips, its questions, and the order in which a rater sees them.

`study.json`, written when all clips exist, holds `{"version", "seed", "methods", "clips", "left_out"}`. It maps clips
to methods; the server reads it and does not disclose that.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

from avcat.errors import InputError
from avcat.files import write
from avcat.seeding import rng_of

VERSION = 1
FILE, CLIPS, RATINGS = "study.json", "clips", "ratings.sqlite"  # in a study's folder
REPEATED_SHARE = 0.05  # share of the clips that a rater sees a second time


class Question(NamedTuple):
    """One of the three rated criteria (paper, section 4.2.1)."""

    key: str
    title: str  # as in the paper's Table 2
    text: str


QUESTIONS = (
    Question("sync", "Lip-sync quality", "How well do the lips fit the sound?"),
    Question("quality", "Generation quality", "How sharp and clean is the picture?"),
    Question("realness", "Video realness", "How real does the person look?"),
)
SCALE = ("Bad", "Poor", "Fair", "Good", "Excellent")  # 1 to 5, the words of ITU-T P.800


@dataclass(frozen=True)
class Clip:
    """One item to rate: a test clip, dubbed by a method with the sound of another one."""

    clip: str  # 16 hex digits without meaning; `clips/<clip>.mp4`
    method: str
    corpus: str
    video: str  # clip id of the manifest
    sound: str


@dataclass(frozen=True)
class Study:
    """A study that can be shown. `left_out`: why a pair of clips is not in it, one line per pair."""

    seed: int
    methods: tuple[str, ...]
    clips: tuple[Clip, ...]
    left_out: tuple[str, ...]

    def write(self, folder: Path) -> None:
        write(folder / FILE, json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n")


def read_study(folder: Path) -> Study:
    """Raises InputError if the folder holds no finished study."""
    path = folder / FILE
    try:
        tree = json.loads(path.read_text())
        if tree.pop("version") != VERSION:
            raise InputError(f"{path}: of another version of this program")
        clips = tuple(Clip(**clip) for clip in tree["clips"])
        return Study(tree["seed"], tuple(tree["methods"]), clips, tuple(tree["left_out"]))
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; `avcat study build` makes a study, and goes on with one"
        ) from error
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a study ({error!r})") from error


def clip_path(folder: Path, clip: str) -> Path:
    return folder / CLIPS / f"{clip}.mp4"


class Shown(NamedTuple):
    """One step of a rater's way through the study."""

    clip: str
    presentation: int  # 0; 1 if the rater has seen the clip before


def order_for(rater: str, clips: Sequence[str]) -> list[Shown]:
    """All clips in an order specific to the rater, some of them twice.

    The order depends only on the rater and on the set of clips. Repeated clips are from the first third and return in
    the last third, when they are no longer remembered.
    """
    rng = rng_of("study-order", rater)
    shown = [Shown(clip, 0) for clip in rng.permutation(sorted(clips)).tolist()]
    third = ceil(len(shown) / 3)
    repeated = max(1, round(REPEATED_SHARE * len(shown)))
    for early in rng.choice(third, size=repeated, replace=False).tolist():
        shown.insert(int(rng.integers(len(clips) - third + 1, len(shown) + 1)), Shown(shown[early].clip, 1))
    return shown
