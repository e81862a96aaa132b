"""The clips of a manifest, as the stages after it read them: rows, shard by shard, and the file of each."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avcat.data import schema
from avcat.errors import InputError
from avcat.files import is_remote, local_copy, located, read_table
from pipelines.outcome import Rejected

SPLITS = ("train", "val", "test")


class Rows(Sequence[dict[str, Any]]):
    """The rows of a table as dicts, each made when it is asked for. A part of a table is pickled without the rest."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()

    def __reduce__(self) -> tuple[Any, ...]:
        with pa.BufferOutputStream() as sink:
            with pa.ipc.new_stream(sink, self.table.schema) as writer:
                writer.write_table(self.table)
            return Rows._received, (sink.getvalue().to_pybytes(),)

    @classmethod
    def _received(cls, data: bytes) -> "Rows":
        with pa.ipc.open_stream(data) as reader:
            return cls(reader.read_all())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> "Rows": ...
    def __getitem__(self, at: int | slice) -> "dict[str, Any] | Rows":
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            assert step == 1, "only ranges"
            return Rows(self.table.slice(start, stop - start))
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.table.slice(at, 1).to_pylist()[0]  # type: ignore[no-any-return]


def video_seconds(rows: Rows) -> list[float]:
    """The length of each clip, with which the work on it grows."""
    return pc.subtract(rows.table["end_s"], rows.table["start_s"]).to_pylist()  # type: ignore[no-any-return]


def read_manifest(path: Path) -> Rows:
    """The clips of a manifest. Raises InputError if there is none."""
    try:
        return Rows(read_table(path, schema=schema.MANIFEST))
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {error}".splitlines()[0]) from error


def by_shard(rows: Rows) -> dict[str, Rows]:
    """The rows of each shard by its name, `train-000000`, both in order; they lie together in the table."""
    splits, shards = rows.table["split"].to_numpy(zero_copy_only=False), rows.table["shard"].to_numpy()
    starts = [0, *(np.flatnonzero((splits[1:] != splits[:-1]) | (shards[1:] != shards[:-1])) + 1), len(rows)]
    return {
        f"{splits[start]}-{shards[start]:06d}": rows[start:stop] for start, stop in pairwise(starts) if stop > start
    }


def video_path(row: Mapping[str, Any], here: Path) -> Path:
    """The path of a row's video, absolute: `here` is the folder that roots on this machine are relative to."""
    root = located(row["root"])
    return (root if is_remote(root) else here / root) / row["path"]


@contextmanager
def reading(row: Mapping[str, Any], here: Path) -> Iterator[Path]:
    """A row's file on this machine. A fault of the file rejects it; a file that cannot be fetched is a failure.

    So a lost network share does not look like thousands of bad videos.
    """
    path = video_path(row, here)
    with local_copy(path) as local:
        try:
            yield local
        except InputError as error:
            if _is_the_files_fault(local):
                raise Rejected(str(error).removeprefix(f"{local}: ")) from error
            raise


def _is_the_files_fault(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP)
    return True
