"""Where the speaker's face is in every frame of every clip. A frame never leaves the process that decoded it.

One parquet file for each shard (`train-000000.parquet`, `schema.TRACKS`) and `outcomes.parquet` for all clips.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import avcat.face
import avcat.media
from avcat.checkpoint import read_facts
from avcat.data import schema
from avcat.errors import InputError
from avcat.face.detector import build_detector
from avcat.face.track import Person, Sightings, Track, fill_gaps, find_people, longest_gap, speaker, track_of
from avcat.files import write
from avcat.media.shots import CutFinder
from avcat.media.video import decode_at
from avcat.metrics.agreement import Agreement
from pipelines.clips import read_manifest, reading
from pipelines.grouped import publish, work_grouped
from pipelines.outcome import Failed, Outcome, after, check_failures, outcome_of, read_outcomes, summary
from pipelines.parallel import Progress, Usage
from pipelines.resources import Resources
from pipelines.settings import DataConfig, RuntimeConfig
from pipelines.state import alone, code_hash, file_hash, fingerprint

STAGE = "tracks"


@dataclass(frozen=True)
class Tracked:
    """What a worker found in a clip; `reason` is why the clip is not wanted, empty if it is."""

    track: Track  # gaps filled; `times_s` are the source frames'
    reason: str


def track_clips(
    config: DataConfig,
    manifest: Path,
    before: Path,
    out: Path,
    state: Path,
    *,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes the tracks of all clips of the manifest to the folder `out`; returns the counts. Ray must be connected.

    `before` are the outcomes that came with the manifest. Raises InputError if too many clips fail.
    """
    clips, usage = read_manifest(manifest), Usage()
    syncnet = speaker_syncnet(config)
    if config.detector.kind == "retinaface":
        build_detector(config.detector)  # weights that cannot be used are reported once, before any clip is tried
    on_gpu = config.detector.kind == "retinaface" and runtime.device == "cuda"
    with alone(state):
        outcomes = work_grouped(
            clips,
            Tracker,
            {"config": config, "here": Path.cwd(), "device": "cuda" if on_gpu else "cpu", "syncnet": syncnet},
            _write_group,
            suffix=".parquet",
            state=state,
            made_of=fingerprint(config, code_hash(avcat.face, avcat.media), syncnet and file_hash(syncnet)),
            workers=runtime.workers,
            limit_s=runtime.clip_limit_s,
            resources=Resources(num_gpus=runtime.worker_gpus if on_gpu else 0),
            usage=usage,
            progress=progress,
        )
        outcomes = after(read_outcomes(before), outcomes)
        check_failures(outcomes, config.max_failed_fraction)
        publish(clips, outcomes, suffix=".parquet", state=state, out=out)
    return summary(outcomes) | {"worker_cpu_s": usage.cpu_s}


class Tracker:
    """The worker: tracks all people through one clip, and chooses the speaker."""

    def __init__(self, config: DataConfig, here: Path, device: str, syncnet: Path | None) -> None:
        self._config, self._here = config, here
        self._detector = build_detector(config.detector, device)
        self._agreement = None if syncnet is None else Agreement.of_syncnet(syncnet, device)

    def __call__(self, row: Mapping[str, Any]) -> Tracked:
        with reading(row, self._here) as path:
            return self._track(path, row)

    def _track(self, path: Path, row: Mapping[str, Any]) -> Tracked:
        pts_s: list[float] = []

        def images() -> Iterator[tuple[float, np.ndarray]]:
            for index, time_s, image in decode_at(path, schema.FPS, row["start_s"], row["end_s"]):
                pts_s.append(time_s)
                yield index / schema.FPS, image

        seen = find_people(images(), self._detector, CutFinder(self._config.cut_threshold))
        track = track_of(seen, *([self._speaker(path, row, seen)] if seen.people else []))
        filled = fill_gaps(track, self._config.max_gap_frames)
        return Tracked(replace(filled, times_s=np.array(pts_s)), reject_reason(seen, track, self._config))

    def _speaker(self, path: Path, row: Mapping[str, Any], seen: Sightings) -> Person:
        if self._config.speaker != "agreement":
            return speaker(seen, self._config.speaker)
        assert self._agreement is not None
        people = [person for person in seen.people if len(person.frames) >= self._config.min_frames]
        if len(people) < 2:  # no choice
            return speaker(seen, "largest")
        return self._agreement(path, row["start_s"], row["end_s"], seen, people)


def speaker_syncnet(config: DataConfig) -> Path | None:
    """The model file that chooses speakers, absolute; None if none does. Raises InputError if it is missing."""
    if config.speaker != "agreement":
        return None
    if not config.speaker_syncnet:
        raise InputError("data.speaker_syncnet: to choose speakers by agreement, name a trained SyncNet's model file")
    path = Path(config.speaker_syncnet).absolute()
    read_facts(path)
    return path


def reject_reason(seen: Sightings, track: Track, config: DataConfig) -> str:
    """Why a clip is not wanted, or nothing."""
    if track.found.size < config.min_frames:
        return "too short"
    if not track.found.any():
        return "no face"
    distance = np.linalg.norm(track.eyes[:, 1] - track.eyes[:, 0], axis=1)
    if np.nanmedian(distance) < config.min_eye_distance_px:  # often the reason why it is lost in some frames
        return "face too small"
    if seen.cuts:
        return "cut"
    if track.found.mean() < config.min_found_fraction:
        return "face not found often enough"
    return "gap" if longest_gap(track.found) > config.max_gap_frames else ""


def _write_group(path: Path, rows: Sequence[Mapping[str, Any]], results: Sequence[Any]) -> list[Outcome]:
    tables = [
        tracks_table(row["clip_id"], result.track)
        for row, result in zip(rows, results, strict=True)
        if isinstance(result, Tracked) and not result.reason
    ]
    write(path, pa.concat_tables(tables) if tables else schema.TRACKS.empty_table())
    return [_outcome(row, result) for row, result in zip(rows, results, strict=True)]


def _outcome(row: Mapping[str, Any], result: Any) -> Outcome:
    if isinstance(result, Failed):
        return outcome_of(STAGE, row, result)
    found = result.track.found
    status = Failed(result.reason, rejected=True) if result.reason else None
    return replace(outcome_of(STAGE, row, status), frames=found.size, found=int(found.sum()))


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
