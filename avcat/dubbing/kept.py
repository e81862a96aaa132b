"""The faces that a first pass found, kept in a file: a second sound for the same video need not look for them again.

A NumPy archive of plain arrays (no pickle): per person how many faces, per face its frame and what `Observed` has; also
what they were found in, and how.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avcat.dubbing.observed import Observed
from avcat.errors import InputError
from avcat.face.track import Person, Sightings
from avcat.files import atomic_path

VERSION = 1


def save_faces(path: Path, seen: Sightings, last_s: float, made_from: Mapping[str, Any]) -> None:
    """Writes sightings, how long the last frame is shown, and what they depend on (JSON)."""
    faces = [Observed.of(face) for person in seen.people for face in person.faces]
    facts = {"version": VERSION, "last_s": last_s, "size": list(seen.size), "made_from": dict(made_from)}
    none = np.zeros((16, 16, 3), np.uint8)
    arrays = {
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        "times_s": seen.times_s,
        "cuts": np.array(seen.cuts, np.int64),
        "counts": np.array([len(person.frames) for person in seen.people], np.int64),
        "frames": np.array([frame for person in seen.people for frame in person.frames], np.int64),
        "box": _stacked([face.box for face in faces], (4,)),
        "score": np.array([face.score for face in faces]),
        "eyes": _stacked([face.eyes for face in faces], (2, 2)),
        "mouth": _stacked([face.mouth for face in faces], (20, 2)),
        "oval": _stacked([face.oval for face in faces], (36, 2)),
        "moved": _stacked([face.moved for face in faces], (2,)),
        "has_look": np.array([face.look is not None for face in faces], bool),
        "look": np.array([none if face.look is None else face.look for face in faces], np.uint8),
        "hand": np.array([face.hand for face in faces], np.float64),
    }
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _stacked(values: list[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray:
    """float64 [N, ...]; NaN for None."""
    nothing = np.full(shape, np.nan)
    return np.array([nothing if value is None else value for value in values], np.float64).reshape(-1, *shape)


def load_faces(path: Path, made_from: Mapping[str, Any]) -> tuple[Sightings, float]:
    """The inverse of `save_faces`. Raises InputError if the file is none of these, or was made from something else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays["facts"].tobytes())
        if facts["version"] != VERSION:
            raise InputError(f"{path}: has format version {facts['version']}, this program reads {VERSION}")
        for name, value in made_from.items():
            if (kept := facts["made_from"].get(name)) != value:
                raise InputError(f"{path}: its faces are of another {name} ({kept}, not {value}); give another file")
        people = _people(arrays)
        return Sightings(arrays["times_s"], tuple(facts["size"]), people, arrays["cuts"].tolist()), facts["last_s"]
    except InputError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: no faces that `avcat dub --keep-faces` wrote ({error})") from error


def _people(arrays: Mapping[str, np.ndarray]) -> list[Person]:
    people, start = [], 0
    for count in arrays["counts"].tolist():
        rows = range(start, start + count)
        people.append(Person(arrays["frames"][rows.start : rows.stop].tolist(), [_face(arrays, row) for row in rows]))
        start += count
    return people


def _face(arrays: Mapping[str, np.ndarray], row: int) -> Observed:
    def known(name: str) -> np.ndarray | None:
        value = arrays[name][row]
        return None if np.isnan(value).all() else value

    oval = known("oval")
    return Observed(
        box=arrays["box"][row].astype(np.float32),
        score=float(arrays["score"][row]),
        eyes=arrays["eyes"][row].astype(np.float32),
        mouth=arrays["mouth"][row].astype(np.float32),
        oval=None if oval is None else oval.astype(np.float32),
        moved=known("moved"),
        look=arrays["look"][row] if arrays["has_look"][row] else None,
        hand=float(arrays["hand"][row]),
    )
