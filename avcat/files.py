"""Local and remote files: a path on this machine, or a URL like `s3://bucket/folder` accessed by fsspec.

A `Path` from `located` is used like any other; the few operations that differ are here. Files appear only when they
are complete.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avcat.errors import InputError

CORPORA, CORPORA_VARIABLE = "{corpora}", "AVCAT_CORPORA"


def located(name: str) -> Path:
    """The path of a name; a URL becomes universal_pathlib's path, which is used like pathlib's.

    `{corpora}` in a name stands for the folder that the environment variable AVCAT_CORPORA names, so that settings and
    what is made from them do not depend on the machine. Raises InputError if it is not set, or if the package for a
    URL's protocol is not installed.
    """
    if CORPORA in name:
        if not os.environ.get(CORPORA_VARIABLE):
            raise InputError(f"{name}: set {CORPORA_VARIABLE} to the folder of your corpora (docs/data.md)")
        name = name.replace(CORPORA, os.environ[CORPORA_VARIABLE])
    if "://" not in name:
        return Path(name)
    try:
        from upath import UPath

        path: Any = UPath(name)
        path.fs  # noqa: B018  # imports the protocol's package
    except (ImportError, ValueError) as error:
        raise InputError(f"{name}: cannot be reached ({error})") from error
    return path  # type: ignore[no-any-return]


def is_remote(path: Path) -> bool:
    """Whether a path of `located` is remote."""
    return not isinstance(path, Path)


def absolute(path: Path) -> Path:
    """The path for a process that runs in another folder."""
    return path if is_remote(path) else path.absolute()


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a fresh path on this machine; its file is renamed to `path` on success, deleted on failure.

    The suffix is kept, for writers that depend on it. The folder is made if it is missing.
    """
    if isinstance(path, str):
        path = Path(path)
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="avcat-") as folder:
            part = Path(folder, path.name)
            yield part
            path.fs.put_file(str(part), path.path)  # type: ignore[attr-defined]  # object stores show only whole files
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")  # a name as long as allowed would not grow
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write(path: str | Path, content: str | bytes | pa.Table) -> None:
    """Writes a file by `atomic_path`: text as UTF-8, bytes as they are, a table as parquet."""
    with atomic_path(path) as part:
        if isinstance(content, pa.Table):
            pq.write_table(content, part)
        else:
            part.write_bytes(content if isinstance(content, bytes) else content.encode())


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """The file on this machine: itself, or a temporary copy. An InputError names the file, not the copy."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="avcat-") as folder:
        copy = Path(folder, "copy" + path.suffix)
        try:
            path.fs.get_file(path.path, str(copy))  # type: ignore[attr-defined]
        except OSError as error:
            raise InputError(f"{path}: cannot be fetched ({error})") from error
        try:
            yield copy
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(path))) from error


def move(source: Path, target: Path) -> None:
    """Moves a file within one storage. The folder is made if it is missing."""
    if is_remote(source):
        source.fs.mv(source.path, target.path)  # type: ignore[attr-defined]
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)


def remove_tree(folder: Path) -> None:
    """Removes a folder with its content, if it exists."""
    if is_remote(folder):
        if folder.exists():
            folder.fs.rm(folder.path, recursive=True)  # type: ignore[attr-defined]
    else:
        shutil.rmtree(folder, ignore_errors=True)


def read_table(path: Path, **options: Any) -> pa.Table:
    """Reads a parquet file; raises pyarrow's errors."""
    if is_remote(path):
        return pq.read_table(path.path, filesystem=path.fs, **options)  # type: ignore[attr-defined]
    return pq.read_table(path, **options)


def read_range(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes from `offset` on, or fewer if the file ends."""
    if is_remote(path):
        return path.fs.cat_file(path.path, start=offset, end=offset + size)  # type: ignore[attr-defined,no-any-return]
    file = os.open(path, os.O_RDONLY)  # takes a third of the time of a Python file object, which matters here
    try:
        return os.pread(file, size, offset)
    finally:
        os.close(file)
