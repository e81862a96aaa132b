"""Finished work that a resumed stage uses again: outside DVC's outputs, marked by what it was made from.

The marks stay out of the outputs: the same result from other code must not look new to later stages.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from avcat.errors import InputError
from avcat.files import is_remote, sha256_of, write


def fingerprint(*inputs: Any) -> str:
    """32 hex digits of plain values and settings: the same inputs give the same, on every machine."""
    plain = [dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value for value in inputs]  # type: ignore[arg-type]
    return hashlib.blake2s(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def code_hash(*packages: ModuleType) -> str:
    """Changes with any Python file of the packages: outputs of other code are made again."""
    files = sorted(file for package in packages for folder in package.__path__ for file in Path(folder).glob("*.py"))
    return fingerprint([file_hash(file) for file in files])


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes; empty if there is none."""
    return sha256_of(path) if path.exists() else ""


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Locks a state folder for one run; a second run gets an InputError. Ends with the process in any case.

    Object stores have no such locks: there, two runs do the same work twice.
    """
    if is_remote(state):
        yield
        return
    state.parent.mkdir(parents=True, exist_ok=True)
    with (state.parent / f".{state.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{state}: another run is at work here") from error
        yield


def is_done(mark: Path, inputs: str, *files: Path) -> bool:
    """Whether the work with this mark was finished, from these inputs, and its files are still there.

    A run that is interrupted while it moves finished files to their place leaves marks without files.
    """
    return mark.exists() and mark.read_text() == inputs and all(file.exists() for file in files)


def mark_done(mark: Path, inputs: str) -> None:
    """To be called after the work itself lies under its final name."""
    write(mark, inputs)
