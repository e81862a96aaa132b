"""Who speaks, shot by shot: the face that agrees most with the video's own sound, by a SyncNet."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from avcat.data.schema import FPS
from avcat.errors import InputError
from avcat.face.track import Person, Sightings
from avcat.media.container import Notes
from avcat.media.video import probe
from avcat.metrics.agreement import Agreement

_FEWEST = FPS  # frames: who is seen for less than a second cannot be judged
_MOST = 20 * FPS  # frames of a person that are judged: more change nothing, and would have to be held

Weight = Callable[[Person], float]


def agreement_of(video: Path, seen: Sightings, syncnet: Path, device: str) -> Weight:
    """How surely a person of `seen` (frames of the video) speaks: SyncNet's confidence times frames; 0 if unknown.

    Only people who share a shot with another are judged; for the others it is 1. Raises InputError if the SyncNet
    cannot be used, or the video has no sound of its own.
    """
    if not probe(video).has_audio:
        raise InputError(f"{video}: has no sound of its own, by which to tell who speaks; choose another --face")
    shots = [list(shot) for _, shot in groupby(seen.people, key=lambda p: bisect_right(seen.cuts, p.frames[0]))]
    rivals = [person for shot in shots if len(shot) > 1 for person in shot if len(person.frames) >= _FEWEST]
    weights = {id(person): 1.0 for shot in shots if len(shot) == 1 for person in shot}
    on_grid, kept = _on_grid(seen, rivals)
    if on_grid:
        end_s = (max(person.frames[-1] for person in on_grid) + 1) / FPS
        times_s = np.arange(round(end_s * FPS)) / FPS
        judged = Agreement.of_syncnet(syncnet, device).scores(
            video, 0.0, end_s, Sightings(times_s, seen.size, on_grid, []), on_grid, Notes(video)
        )
        for person, score in zip(kept, judged, strict=True):
            weights[id(person)] = max(score, 0.0) * len(person.frames) if np.isfinite(score) else 0.0
    return lambda person: weights.get(id(person), 0.0)


def _on_grid(seen: Sightings, people: Sequence[Person]) -> tuple[list[Person], list[Person]]:
    """The first seconds of people on the 25 fps grid, by the nearest frames of the video; and whose they are."""
    middles = (seen.times_s[1:] + seen.times_s[:-1]) / 2
    nearest = np.searchsorted(middles, np.arange(round(seen.times_s[-1] * FPS) + 1) / FPS)
    found, kept = [], []
    for person in people:
        faces = dict(zip(person.frames, person.faces, strict=True))
        at = [t for t, frame in enumerate(nearest.tolist()) if frame in faces][:_MOST]
        if at:
            found.append(Person(at, [faces[int(nearest[t])] for t in at]))
            kept.append(person)
    return found, kept
