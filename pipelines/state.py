"""Finished work that an interrupted stage finds again: outside DVC's outputs, marked by what it was made from."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

INPUTS = b"inputs"  # the key of the fingerprint in a parquet file's metadata


def fingerprint(*inputs: Any) -> str:
    """32 hex digits of plain values and settings: the same inputs give the same, on every machine."""
    plain = [dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value for value in inputs]  # type: ignore[arg-type]
    return hashlib.blake2s(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes; empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
