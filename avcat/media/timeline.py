"""Which frame of a video is shown when, so that it lasts as long as a sound."""

from collections.abc import Iterator
from itertools import repeat
from typing import Literal, NamedTuple, get_args

import numpy as np

from avcat.errors import InputError

Fit = Literal["pingpong", "freeze", "error"]
FITS: tuple[Fit, ...] = get_args(Fit)
Length = Literal["sound", "video"]  # how long a result lasts
LENGTHS: tuple[Length, ...] = get_args(Length)


class Shown(NamedTuple):
    """One frame of the result."""

    source: int  # number of the frame in the source
    pts: int  # ticks
    duration: int  # ticks


def fit_to(pts: np.ndarray, last_duration: int, total: int, fit: Fit) -> list[Shown]:
    """Schedule of frames with the rising time stamps `pts` (int [T], in ticks) for `total` ticks.

    The source's own time stamps are kept while it lasts; a longer source is cut. A shorter one is extended by `fit`:
    "pingpong" plays it back and forth, each frame as long as in the source and none twice at the turns; "freeze" stays
    on the last frame, at the source's average rate; "error" does so for one frame, as sounds seldom end with a frame,
    and raises InputError if that is not enough.
    """
    durations = np.maximum(np.append(np.diff(pts), last_duration), 1)
    end = int(pts[-1] + durations[-1])
    usual = max(1, round(float(np.mean(durations))))
    if fit == "error" and end + usual < total:
        raise InputError(f"the video is shorter than the sound ({end / total:.1%} of it); choose another --fit")
    shown = []
    at = int(pts[0])
    for position, source in enumerate(_order(len(pts), fit)):  # infinite
        if at >= total:
            break
        lasts = usual if fit != "pingpong" and position >= len(pts) else int(durations[source])
        shown.append(Shown(source, at, min(lasts, total - at)))
        at += lasts
    return shown


def _order(frames: int, fit: Fit) -> Iterator[int]:
    yield from range(frames)
    if fit != "pingpong":
        yield from repeat(frames - 1)
    while True:
        yield from range(frames - 2, 0, -1)
        yield from range(frames)
