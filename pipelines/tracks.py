"""Where the face is in every frame of every clip. A frame never leaves the actor that decoded it.

One parquet file for each shard (`train-000000.parquet`, `schema.TRACKS`) and `outcomes.parquet` for all clips. A file
is written as soon as all its clips are done, first into the state folder: an interrupted run goes on from there.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import avcat.face
import avcat.media
from avcat.config import DataConfig, RuntimeConfig
from avcat.data import schema
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import Track, fill_gaps, longest_gap, track_faces
from avcat.files import atomic_path
from avcat.media.video import decode_at
from pipelines.manifest import by_shard, read_manifest, video_path
from pipelines.outcome import (
    Failed,
    Outcome,
    check_failures,
    outcome_of,
    read_outcomes,
    summary,
    write_outcomes,
)
from pipelines.parallel import Progress, parallel
from pipelines.state import code_hash, fingerprint, is_done, mark_done

OUTCOMES = "outcomes.parquet"


@dataclass(frozen=True)
class Tracked:
    """What a worker found in a clip; `reason` says why the clip is not wanted, empty where it is."""

    track: Track  # gaps filled; `times_s` are the source frames'
    reason: str


def track_clips(
    config: DataConfig,
    manifest: Path,
    out: Path,
    state: Path,
    *,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes the tracks of all clips of the manifest to the folder `out`; returns the counts. Ray must be connected.

    Raises InputError where too many clips fail.
    """
    groups = by_shard(read_manifest(manifest))
    code = code_hash(avcat.face, avcat.media)
    inputs = {name: fingerprint(rows, config, code) for name, rows in groups.items()}
    waiting = {
        name: rows
        for name, rows in groups.items()
        if not is_done(state / f"{name}.done", inputs[name], state / f"{name}.parquet", state / f"{name}.{OUTCOMES}")
    }
    for name, rows, results in _tracked_groups(config, waiting, runtime, progress):
        _write_group(state, name, rows, results)
        mark_done(state / f"{name}.done", inputs[name])
    outcomes = [outcome for name in groups for outcome in read_outcomes(state / f"{name}.{OUTCOMES}")]
    check_failures(outcomes, config.max_failed_fraction)
    out.mkdir(parents=True, exist_ok=True)
    for name in groups:
        shutil.move(state / f"{name}.parquet", out / f"{name}.parquet")
    write_outcomes(out / OUTCOMES, outcomes)
    shutil.rmtree(state)
    return summary(outcomes)


def _tracked_groups(
    config: DataConfig, groups: Mapping[str, list[dict[str, Any]]], runtime: RuntimeConfig, progress: Progress | None
) -> Iterator[tuple[str, list[dict[str, Any]], list[Any]]]:
    """(name, rows, results in the order of the rows) of each group, as soon as its last clip is done."""
    items = [(name, place, row) for name, rows in groups.items() for place, row in enumerate(rows)]
    results: dict[str, dict[int, Any]] = {name: {} for name in groups}
    clips = [row for _, _, row in items]
    settings = {"config": config, "here": Path.cwd()}
    for position, result in parallel(clips, Tracker, settings, workers=runtime.workers, progress=progress):
        name, place, _ = items[position]
        results[name][place] = result
        if len(results[name]) == len(groups[name]):
            done = results.pop(name)
            yield name, groups[name], [done[place] for place in range(len(done))]


class Tracker:
    """The worker: follows the main face through one clip."""

    def __init__(self, config: DataConfig, here: Path) -> None:
        self._config, self._here = config, here
        self._detector = MediaPipeDetector()

    def __call__(self, row: Mapping[str, Any]) -> Tracked:
        path = video_path(row, self._here)
        pts_s: list[float] = []

        def images() -> Iterator[tuple[float, np.ndarray]]:
            for index, time_s, image in decode_at(path, schema.FPS, row["start_s"], row["end_s"]):
                pts_s.append(time_s)
                yield index / schema.FPS, image

        track = fill_gaps(track_faces(images(), self._detector), self._config.max_gap_frames)
        return Tracked(replace(track, times_s=np.array(pts_s)), reject_reason(track, self._config))


def reject_reason(track: Track, config: DataConfig) -> str:
    """Why a clip is not wanted, or nothing."""
    if track.found.size < config.min_frames:
        return "too short"
    if not track.found.any():
        return "no face"
    if track.found.mean() < config.min_found_fraction:
        return "face not found often enough"
    if longest_gap(track.found) > config.max_gap_frames:
        return "gap"
    distance = np.linalg.norm(track.eyes[:, 1] - track.eyes[:, 0], axis=1)
    return "face too small" if np.median(distance) < config.min_eye_distance_px else ""


def _write_group(state: Path, name: str, rows: Sequence[Mapping[str, Any]], results: Sequence[Any]) -> None:
    write_outcomes(state / f"{name}.{OUTCOMES}", [_outcome(*pair) for pair in zip(rows, results, strict=True)])
    tables = [
        tracks_table(row["clip_id"], result.track)
        for row, result in zip(rows, results, strict=True)
        if isinstance(result, Tracked) and not result.reason
    ]
    table = pa.concat_tables(tables) if tables else schema.TRACKS.empty_table()
    with atomic_path(state / f"{name}.parquet") as part:
        pq.write_table(table, part)


def _outcome(row: Mapping[str, Any], result: Any) -> Outcome:
    if isinstance(result, Failed):
        return outcome_of(row["clip_id"], row["corpus"], row["split"], result)
    status = Failed(result.reason, rejected=True) if result.reason else None
    found = result.track.found
    outcome = outcome_of(row["clip_id"], row["corpus"], row["split"], status)
    return replace(outcome, frames=found.size, found=int(found.sum()))


def tracks_table(clip_id: str, track: Track) -> pa.Table:
    """`schema.TRACKS` of one clip."""
    count = track.found.size

    def lists(values: np.ndarray) -> pa.Array:
        flat = values.reshape(count, -1)
        return pa.FixedSizeListArray.from_arrays(flat.astype(np.float32).ravel(), flat.shape[1])

    columns = {
        "clip_id": [clip_id] * count,
        "frame": np.arange(count, dtype=np.int32),
        "pts_s": track.times_s,
        "found": track.found,
        "score": track.score.astype(np.float32),
        "box": lists(track.box),
        "eyes": lists(track.eyes),
        "mouth": lists(track.mouth),
    }
    return pa.table(columns, schema=schema.TRACKS)
