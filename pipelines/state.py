"""Finished work that an interrupted stage finds again: outside DVC's outputs, marked by what it was made from.

The marks stay out of the outputs: what other code made with the same result must not look new to later stages.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from avcat.files import atomic_path


def fingerprint(*inputs: Any) -> str:
    """32 hex digits of plain values and settings: the same inputs give the same, on every machine."""
    plain = [dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value for value in inputs]  # type: ignore[arg-type]
    return hashlib.blake2s(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def code_hash(*packages: ModuleType) -> str:
    """Changes with any Python file of the packages: what other code made is made again."""
    files = sorted(file for package in packages for folder in package.__path__ for file in Path(folder).glob("*.py"))
    return fingerprint([file_hash(file) for file in files])


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes; empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_done(mark: Path, inputs: str, *files: Path) -> bool:
    """Whether the work with this mark was finished, from these inputs, and its files are still there.

    A run that is interrupted while it moves finished files to their place leaves marks without files.
    """
    return mark.exists() and mark.read_text() == inputs and all(file.exists() for file in files)


def mark_done(mark: Path, inputs: str) -> None:
    """To be called after the work itself lies under its final name."""
    with atomic_path(mark) as part:
        part.write_text(inputs)
