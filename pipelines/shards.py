"""Aligned crops, mels and landmarks, packed into shards: one task per shard, the same bytes on any worker.

A shard is written into the state folder first, with a mark of what it was made from, so that an interrupted run keeps
what is finished. Each clip is decoded in a process that can be killed.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import avcat.data
import avcat.face
import avcat.media
from avcat.data import schema
from avcat.data.inputs import InputConfig
from avcat.data.shards import Landmarks, ShardClip, index_path, stats_path, write_shard
from avcat.errors import InputError
from avcat.face.align import alignment, transform_points, warp
from avcat.files import absolute, move, read_table, remove_tree
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.media.pictures import jpeg
from avcat.media.video import decode_at
from pipelines.child import Child
from pipelines.clips import SPLITS, Rows, by_shard, read_manifest, reading, video_seconds
from pipelines.grouped import OUTCOMES, remove_others
from pipelines.outcome import (
    Failed,
    Outcome,
    check_failures,
    failed,
    outcome_of,
    read_outcomes,
    summary,
    write_outcomes,
)
from pipelines.parallel import Progress, Usage, parallel
from pipelines.settings import RuntimeConfig
from pipelines.state import alone, code_hash, file_hash, fingerprint, is_done, mark_done

STAGE = "shards"
KEPT_FACTS = ("corpus", "path", "speaker", "split", "start_s", "end_s", "fps", "width", "height", "sha256")


@dataclass(frozen=True)
class ShardJob:
    """One shard to be made. Paths are absolute."""

    name: str  # train-000000
    rows: Rows  # of the manifest
    tracks: Path  # files of this shard's clips
    mels: Path
    tar: Path

    @property
    def split(self) -> str:
        return self.name.split("-")[0]

    def target(self, folder: Path) -> Path:
        """Where the tar belongs below a folder of shards."""
        return folder / self.split / f"shard-{self.name.split('-')[1]}.tar"


def build_shards(
    inputs: InputConfig,
    jpeg_quality: int,
    max_failed_fraction: float,
    *,
    manifest: Path,
    tracks: Path,
    mels: Path,
    out: Path,
    state: Path,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes `out/<split>/shard-000000.tar` and its companions for all splits; returns the counts, Ray being connected.

    Raises InputError if too many clips fail or a split ends up empty.
    """
    jobs = [
        ShardJob(name, rows, *map(absolute, (tracks / f"{name}.parquet", mels / f"{name}.npz", state / f"{name}.tar")))
        for name, rows in by_shard(read_manifest(manifest)).items()
    ]
    settings = {
        "inputs": inputs,
        "jpeg_quality": jpeg_quality,
        "clip_limit_s": runtime.clip_limit_s,
        "here": Path.cwd(),
    }
    with alone(state):
        outcomes, usage = _earlier(tracks, mels), Usage()
        sizes = [sum(video_seconds(job.rows)) for job in jobs]
        results = parallel(
            jobs, ShardWorker, settings, workers=runtime.workers, sizes=sizes, progress=progress, usage=usage
        )
        with closing(results):
            for position, result in results:
                if isinstance(result, Failed):  # not one clip but the shard: the disk, or a bug
                    raise InputError(f"{jobs[position].target(out)}: {result.reason}")
                outcomes += result
        check_failures(outcomes, max_failed_fraction)
        filled = [job for job in jobs if clips_in(job.tar)]
        splits = {job.split for job in filled}
        for split in SPLITS:
            if split not in splits:
                raise InputError(f"{manifest}: no clip of the split {split!r} is left to train or to score with")
        for split in SPLITS:  # files of earlier runs for clips that no longer exist
            kept = {path.name for job in filled if job.split == split for path in files_of(job.target(out))}
            remove_others(out / split, kept, "shard-*")
        write_outcomes(out / OUTCOMES, outcomes)
        written = [_publish(job, out) for job in filled]
        remove_tree(state)
    facts = {"shards": len(written), "megabytes": sum(written) / 1e6, "worker_cpu_s": usage.cpu_s}
    return summary(outcomes) | facts


def _earlier(tracks: Path, mels: Path) -> list[Outcome]:
    """The outcomes of the clips that did not get this far: those of tracks precede those of mels."""
    ends: dict[str, Outcome] = {}
    for folder in (mels, tracks):
        ends |= {end.clip_id: end for end in read_outcomes(folder / OUTCOMES) if end.status != "ok"}
    return list(ends.values())


def files_of(tar: Path) -> tuple[Path, Path, Path]:
    """A shard's files, in the order in which they are put in place: the done mark last."""
    return tar, index_path(tar), stats_path(tar)


def clips_in(tar: Path) -> int:
    """The clips of a finished shard, 0 if all were rejected."""
    return int(json.loads(stats_path(tar).read_text())["clips"])


def _publish(job: ShardJob, out: Path) -> int:
    """Moves a finished shard to its place; returns its bytes."""
    target = job.target(out)
    size = job.tar.stat().st_size
    for made, published in zip(files_of(job.tar), files_of(target), strict=True):
        move(made, published)
    return size


class ShardWorker:
    """The worker: makes one shard, returns the outcomes of its clips."""

    def __init__(self, inputs: InputConfig, jpeg_quality: int, clip_limit_s: float, here: Path) -> None:
        self._made_of = (inputs, jpeg_quality, code_hash(avcat.data, avcat.face, avcat.media))
        self._limit_s = clip_limit_s
        self._cut = Child(ClipCutter, {"inputs": inputs, "jpeg_quality": jpeg_quality, "here": here})

    def __call__(self, job: ShardJob) -> list[Outcome]:
        tracks, mels = Tracks(job.tracks), read_mels(job.mels)
        rows = [row for row in job.rows.table.to_pylist() if row["clip_id"] in tracks and row["clip_id"] in mels]
        facts = [{name: row[name] for name in ("clip_id", *KEPT_FACTS)} for row in rows]
        made_from = fingerprint(*self._made_of, facts, file_hash(job.tracks), file_hash(job.mels))
        ends_path, mark = job.tar.with_suffix(".outcomes.parquet"), job.tar.with_suffix(".done")
        if not is_done(mark, made_from, *files_of(job.tar), ends_path):
            ends: list[Outcome] = []
            write_shard(job.tar, self._clips(rows, tracks, mels, ends))
            write_outcomes(ends_path, ends)
            mark_done(mark, made_from)
        return read_outcomes(ends_path)

    def _clips(
        self, rows: Sequence[Mapping[str, Any]], tracks: "Tracks", mels: Mapping[str, np.ndarray], ends: list[Outcome]
    ) -> Iterator[ShardClip]:
        """The clips that can be made; the outcome of each is added to `ends`."""
        for row in rows:
            try:
                result = self._cut((row, *tracks[row["clip_id"]], mels[row["clip_id"]]), self._limit_s)
            except Exception as error:
                result = failed(error)
            frames = 0 if isinstance(result, Failed) else len(result.jpegs)
            ends.append(outcome_of(STAGE, row, result, frames, frames))
            if isinstance(result, ShardClip):
                yield result


class ClipCutter:
    """Cuts the crops out of one clip; runs in a child process."""

    def __init__(self, inputs: InputConfig, jpeg_quality: int, here: Path) -> None:
        self._inputs, self._jpeg_quality, self._here = inputs, jpeg_quality, here

    def __call__(self, item: tuple[Mapping[str, Any], np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> ShardClip:
        row, eyes, mouth, found, mel = item
        size = self._inputs.crop_size
        matrix = alignment(eyes, np.arange(len(eyes)) / schema.FPS, self._inputs.align, size, mouth)
        with reading(row, self._here) as path:
            frames = decode_at(path, schema.FPS, row["start_s"], row["end_s"])
            jpegs = [
                jpeg(warp(frame.image, matrix[frame.index], size), self._jpeg_quality)
                for frame in itertools.islice(frames, len(eyes))
            ]
        landmarks = Landmarks(eyes=_moved(matrix, eyes), mouth=_moved(matrix, mouth), found=found, matrix=matrix)
        meta = {name: row[name] for name in KEPT_FACTS}
        return ShardClip(row["clip_id"], meta, jpegs, fit_mel(mel, len(jpegs)), landmarks)


def _moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points float32 [T, P, 2] of the source in pixels of the crop."""
    return np.stack([transform_points(m, p) for m, p in zip(matrix, points, strict=True)]).astype(np.float32)


class Tracks:
    """The tracks of one shard, by clip id: eyes float32 [T, 2, 2], mouth [T, 20, 2], found bool [T]."""

    def __init__(self, path: Path) -> None:
        table = read_table(path, columns=["clip_id", "eyes", "mouth", "found"])
        self._eyes = _array(table["eyes"]).reshape(-1, 2, 2)
        self._mouth = _array(table["mouth"]).reshape(-1, schema.MOUTH_POINTS, 2)
        self._found = table["found"].to_numpy()
        clips, starts = np.unique(table["clip_id"].to_numpy().astype(str), return_index=True)
        order = np.argsort(starts)
        stops = [*starts[order][1:], table.num_rows]  # one too many if all clips were rejected
        self._ranges = {str(clips[i]): slice(starts[i], stop) for i, stop in zip(order, stops, strict=False)}

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._ranges

    def __getitem__(self, clip_id: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self._ranges[clip_id]
        return self._eyes[rows], self._mouth[rows], self._found[rows]


def read_mels(path: Path) -> dict[str, np.ndarray]:
    """The mels of one shard, by clip id: float32 [80, 4 T]."""
    with path.open("rb") as file, np.load(file) as arrays:
        return dict(arrays)


def fit_mel(mel: np.ndarray, frames: int) -> np.ndarray:
    """float32 [80, 4 * frames]: the sound cut to the picture, or padded with silence (0)."""
    out = np.zeros((len(mel), COLUMNS_PER_FRAME * frames), np.float32)
    kept = mel[:, : out.shape[1]]
    out[:, : kept.shape[1]] = kept
    return out


def _array(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy()
