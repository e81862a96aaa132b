"""Aligned crops, mels and landmarks, packed into shards: one task a shard, the same bytes whoever does it.

A shard is written into the state folder first, with a mark of what it was made from, so that an interrupted run keeps
what is finished.
"""

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import avcat.data
import avcat.face
import avcat.media
from avcat.config import InputConfig, RuntimeConfig
from avcat.data import schema
from avcat.data.shards import Landmarks, ShardClip, encode_jpeg, index_path, stats_path, write_shard
from avcat.errors import InputError
from avcat.face.align import alignment, transform_points, warp
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.media.video import decode_at
from pipelines.manifest import SPLITS, by_shard, read_manifest, video_path
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
from pipelines.parallel import Progress, parallel
from pipelines.state import code_hash, file_hash, fingerprint, is_done, mark_done

KEPT_FACTS = ("corpus", "path", "speaker", "split", "start_s", "end_s", "fps", "width", "height", "sha256")


@dataclass(frozen=True)
class ShardJob:
    """One shard to be made. Paths are absolute."""

    name: str  # train-000000
    rows: list[dict[str, Any]]  # of the manifest
    tracks: Path
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

    Raises InputError where too many clips fail or a split ends up empty.
    """
    jobs = [
        ShardJob(name, rows, (tracks / f"{name}.parquet").resolve(), mels.resolve(), (state / f"{name}.tar").resolve())
        for name, rows in by_shard(read_manifest(manifest)).items()
    ]
    settings = {"inputs": inputs, "jpeg_quality": jpeg_quality, "here": Path.cwd()}
    outcomes: list[Outcome] = []
    for position, result in parallel(jobs, ShardWorker, settings, workers=runtime.workers, progress=progress):
        if isinstance(result, Failed):  # not one clip but the shard: the disk, or our fault
            raise InputError(f"{jobs[position].target(out)}: {result.reason}")
        outcomes += result
    check_failures(outcomes, max_failed_fraction)
    filled = [job for job in jobs if clips_in(job.tar)]
    for split in SPLITS:
        if split not in {job.split for job in filled}:
            raise InputError(f"{manifest}: no clip of the split {split!r} is left to train or to score with")
    write_outcomes(out / "outcomes.parquet", outcomes)
    written = [_publish(job, out) for job in filled]
    shutil.rmtree(state)
    return summary(outcomes) | {"shards": len(written), "megabytes": sum(written) / 1e6}


def files_of(tar: Path) -> tuple[Path, Path, Path]:
    """A shard's files, in the order in which they are put in place: the mark that it is done last."""
    return tar, index_path(tar), stats_path(tar)


def clips_in(tar: Path) -> int:
    """The clips of a finished shard, which may be none: all rejected."""
    return int(json.loads(stats_path(tar).read_text())["clips"])


def _publish(job: ShardJob, out: Path) -> int:
    """Moves a finished shard to its place; returns its bytes."""
    target = job.target(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    size = job.tar.stat().st_size
    for made, published in zip(files_of(job.tar), files_of(target), strict=True):
        shutil.move(made, published)
    return size


class ShardWorker:
    """The worker: makes one shard, returns the outcomes of its clips."""

    def __init__(self, inputs: InputConfig, jpeg_quality: int, here: Path) -> None:
        self._inputs, self._jpeg_quality, self._here = inputs, jpeg_quality, here
        self._code = code_hash(avcat.data, avcat.face, avcat.media)

    def __call__(self, job: ShardJob) -> list[Outcome]:
        tracks = Tracks(job.tracks)
        rows = [row for row in job.rows if row["clip_id"] in tracks]
        mels = {row["clip_id"]: job.mels / f"{row['clip_id']}.npy" for row in rows}
        facts = [{name: row[name] for name in ("clip_id", *KEPT_FACTS)} for row in rows]
        sources = [file_hash(path) for path in (job.tracks, *mels.values())]
        made_from = fingerprint(self._inputs, self._jpeg_quality, facts, sources, self._code)
        ends_path, mark = job.tar.with_suffix(".outcomes.parquet"), job.tar.with_suffix(".done")
        if not is_done(mark, made_from, *files_of(job.tar), ends_path):
            ends: list[Outcome] = []
            write_shard(job.tar, self._clips(rows, tracks, mels, ends))
            write_outcomes(ends_path, ends)
            mark_done(mark, made_from)
        return read_outcomes(ends_path)

    def _clips(
        self, rows: Sequence[Mapping[str, Any]], tracks: "Tracks", mels: Mapping[str, Path], ends: list[Outcome]
    ) -> Iterator[ShardClip]:
        """The clips that can be made; what becomes of each is added to `ends`."""
        for row in rows:
            result: Any
            try:
                result = self._clip(row, tracks, mels[row["clip_id"]])
            except Exception as error:
                result = failed(error)
            frames = 0 if isinstance(result, Failed) else len(result.jpegs)
            ends.append(outcome_of(row["clip_id"], row["corpus"], row["split"], result, frames, frames))
            if isinstance(result, ShardClip):
                yield result

    def _clip(self, row: Mapping[str, Any], tracks: "Tracks", mel: Path) -> ShardClip:
        size = self._inputs.crop_size
        eyes, mouth, found = tracks[row["clip_id"]]
        matrix = alignment(eyes, np.arange(len(eyes)) / schema.FPS, self._inputs.align, size)
        path = video_path(row, self._here)
        frames = decode_at(path, schema.FPS, row["start_s"], row["end_s"])
        jpegs = [
            encode_jpeg(warp(frame.image, matrix[frame.index], size), self._jpeg_quality)
            for frame in itertools.islice(frames, len(eyes))
        ]
        landmarks = Landmarks(
            eyes=np.stack([transform_points(m, points) for m, points in zip(matrix, eyes, strict=True)]).astype(
                np.float32
            ),
            mouth=np.stack([transform_points(m, points) for m, points in zip(matrix, mouth, strict=True)]).astype(
                np.float32
            ),
            found=found,
            matrix=matrix,
        )
        meta = {name: row[name] for name in KEPT_FACTS}
        return ShardClip(row["clip_id"], meta, jpegs, fit_mel(np.load(mel), len(jpegs)), landmarks)


class Tracks:
    """The tracks of one shard, by clip id: eyes float32 [T, 2, 2], mouth [T, 20, 2], found bool [T]."""

    def __init__(self, path: Path) -> None:
        table = pq.read_table(path, columns=["clip_id", "eyes", "mouth", "found"])
        self._eyes = _array(table["eyes"]).reshape(-1, 2, 2)
        self._mouth = _array(table["mouth"]).reshape(-1, schema.MOUTH_POINTS, 2)
        self._found = table["found"].to_numpy()
        clips, starts = np.unique(table["clip_id"].to_numpy().astype(str), return_index=True)
        order = np.argsort(starts)
        stops = np.append(starts[order][1:], table.num_rows)
        self._ranges = {str(clips[i]): slice(starts[i], stop) for i, stop in zip(order, stops, strict=True)}

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._ranges

    def __getitem__(self, clip_id: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self._ranges[clip_id]
        return self._eyes[rows], self._mouth[rows], self._found[rows]


def fit_mel(mel: np.ndarray, frames: int) -> np.ndarray:
    """float32 [80, 4 * frames]: the sound cut to the picture, or silence (0) after it."""
    out = np.zeros((len(mel), COLUMNS_PER_FRAME * frames), np.float32)
    kept = mel[:, : out.shape[1]]
    out[:, : kept.shape[1]] = kept
    return out


def _array(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy()
