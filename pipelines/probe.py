"""The facts of every video file. A file is probed once: it is recognised by its size and time of change.

Known files are kept in the state folder, in parts that are written during probing, so that an interrupted run keeps
its results. Failed files are tried again.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import avcat.media
from avcat.data import schema
from avcat.files import located, read_table, sha256_of, write
from avcat.media.shots import find_cuts
from avcat.media.video import probe
from pipelines.clips import reading
from pipelines.corpora import Source
from pipelines.outcome import Failed, Rejected
from pipelines.parallel import Progress, Usage, parallel
from pipelines.settings import DataConfig, RuntimeConfig
from pipelines.state import code_hash, fingerprint

NOT_UTF8 = re.compile(r"\\x[89a-f][0-9a-f]")  # how `media_below` writes bytes that are not UTF-8
LONGEST_S = 24 * 3600.0  # a damaged header must not become millions of clips
TOGETHER = 8  # files that a worker is given at once: most are probed in milliseconds
PART = 2000  # probes in a part: what an interrupted run loses at most


@dataclass(frozen=True)
class File:
    """A file as it is now."""

    root: str
    path: str
    size: int
    mtime_ns: int


def probe_files(
    sources: Sequence[Source],
    config: DataConfig,
    state: Path,
    *,
    runtime: RuntimeConfig,
    usage: Usage,
    progress: Progress | None = None,
) -> pa.Table:
    """`schema.PROBES` of the sources, in their order. Ray must be connected if a file is not known yet."""
    folder = state / f"probes-{fingerprint(config.max_clip_s, config.cut_threshold, code_hash(avcat.media))}"
    known = _known(folder)
    keys = zip(*(known[name].to_pylist() for name in ("root", "path", "size", "mtime_ns")), strict=True)
    place = {File(*key): number for number, key in enumerate(keys)}
    files = [_look(source) for source in sources]
    new = [file for file in files if file not in place]
    tables = [known]
    rows: list[dict[str, Any]] = []
    settings = {"config": config, "here": Path.cwd()}
    results = parallel(
        new,
        Prober,
        settings,
        workers=runtime.workers,
        limit_s=runtime.clip_limit_s,
        together=TOGETHER,
        usage=usage,
        progress=progress,
    )
    with closing(results):
        for done, (position, result) in enumerate(results, 1):
            place[new[position]] = known.num_rows + done - 1
            rows.append(_row(new[position], result))
            if len(rows) == PART or done == len(new):
                tables.append(pa.Table.from_pylist(rows, schema=schema.PROBES))
                _keep(folder, tables[-1])
                rows = []
    return pa.concat_tables(tables).take([place[file] for file in files])


def _look(source: Source) -> File:
    try:
        status = (located(source.root) / source.path).stat()
    except OSError:  # gone, or a link to itself: the prober reports it
        return File(source.root, source.path, -1, -1)
    return File(source.root, source.path, status.st_size, int(status.st_mtime * 1e9))


def _known(folder: Path) -> pa.Table:
    parts = [read_table(path, schema=schema.PROBES) for path in sorted(folder.glob("*.parquet"))]
    table = pa.concat_tables(parts) if parts else schema.PROBES.empty_table()
    return table.filter(pc.not_equal(table["status"], "failed"))


def _keep(folder: Path, table: pa.Table) -> None:
    name = fingerprint(table["root"].to_pylist(), table["path"].to_pylist(), table["mtime_ns"].to_pylist())
    write(folder / f"{name}.parquet", table)


def _row(file: File, result: Any) -> dict[str, Any]:
    if isinstance(result, Failed):
        status = "rejected" if result.rejected else "failed"
        return {**vars(file), "status": status, "reason": result.reason, "cuts_s": []}
    return {**vars(file), "status": "ok", "reason": "", **result}


class Prober:
    """The worker: the facts of one file. It decodes one frame, and all of them if it has to look for cuts."""

    def __init__(self, config: DataConfig, here: Path) -> None:
        self._config, self._here = config, here

    def __call__(self, file: File) -> dict[str, Any]:
        if NOT_UTF8.search(file.path) and file.size < 0:
            raise Rejected("its name is not UTF-8")
        with reading(vars(file), self._here) as path:
            return self._facts(path)

    def _facts(self, path: Path) -> dict[str, Any]:
        info = probe(path)
        if not 0 < info.duration_s < LONGEST_S:
            raise Rejected("its header gives no length, or days")
        if not info.has_audio:
            raise Rejected("no sound")
        long = info.duration_s > self._config.max_clip_s
        return {
            "duration_s": info.duration_s,
            "fps": float(info.fps),
            "width": info.width,
            "height": info.height,
            "audio_rate": info.audio_rate,
            "sha256": sha256_of(path),
            "cuts_s": find_cuts(path, self._config.cut_threshold) if long else [],
        }
