"""The manifest: every clip of every corpus, with its time range, its split and its place among the shards.

A short video is one clip. A long one is cut at its shots and into clips of even length. Clip ids come from names and
frame numbers, shards from the ids, so neither depends on the order of completion or on where a corpus lies.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from avcat.data import schema
from avcat.files import write
from pipelines.clips import SPLITS
from pipelines.corpora import Source
from pipelines.outcome import Failed, Outcome, check_failures, outcome_of, summary, write_outcomes
from pipelines.parallel import Progress, Usage
from pipelines.probe import probe_files
from pipelines.settings import DataConfig, RuntimeConfig
from pipelines.state import alone

STAGE = "manifest"
FACTS = ("duration_s", "fps", "width", "height", "audio_rate", "sha256", "root", "path")  # of the file


def build_manifest(
    sources: Sequence[Source],
    config: DataConfig,
    path: Path,
    outcomes: Path,
    state: Path,
    *,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes `schema.MANIFEST` of the clips that can be used and `schema.OUTCOME` of all; returns the counts.

    `sources`: of `find_sources`. Ray must be connected. Raises InputError if too many clips fail.
    """
    usage = Usage()
    with alone(state):
        probes = probe_files(sources, config, state, runtime=runtime, usage=usage, progress=progress)
    table, ends = plan(sources, probes, config)
    check_failures(ends, config.max_failed_fraction)
    write(path, table)
    write_outcomes(outcomes, ends)
    counts = summary(ends)
    video_s = float(np.sum(table["end_s"].to_numpy() - table["start_s"].to_numpy()))
    return {
        "files": len(sources),
        "clips": counts["clips"],
        "rejected": counts["rejected"],
        "failed": counts["failed"],
        "video_s": video_s,
        "worker_cpu_s": usage.cpu_s,
    }


def plan(sources: Sequence[Source], probes: pa.Table, config: DataConfig) -> tuple[pa.Table, list[Outcome]]:
    """The manifest and the outcomes of sources with their `schema.PROBES`, row by row."""
    rows: list[int] = []  # of each clip: which source it comes from
    ends: list[Outcome] = []
    facts = (probes[name].to_pylist() for name in ("status", "reason", "duration_s", "cuts_s"))
    for number, (source, status, reason, duration_s, cuts_s) in enumerate(zip(sources, *facts, strict=True)):
        place = {"corpus": source.corpus, "path": source.path, "split": source.split}
        if status != "ok":
            whole = {**place, "clip_id": clip_id(source), "start_s": 0.0, "end_s": 0.0}
            ends.append(outcome_of(STAGE, whole, Failed(reason, rejected=status == "rejected")))
            continue
        for start_s, end_s in time_ranges(duration_s, cuts_s, config.max_clip_s):
            whole_file = (start_s, end_s) == (0.0, duration_s)
            name = clip_id(source) if whole_file else clip_id(source, start_s, end_s)
            ends.append(outcome_of(STAGE, {**place, "clip_id": name, "start_s": start_s, "end_s": end_s}, None))
            rows.append(number)
    clips = [end for end in ends if end.status == "ok"]
    table = probes.select(FACTS).take(pa.array(rows, pa.int64()))
    for name in ("clip_id", "corpus", "split", "start_s", "end_s"):
        values = pa.array([getattr(clip, name) for clip in clips], schema.MANIFEST.field(name).type)
        table = table.append_column(name, values)
    table = table.append_column("speaker", pa.array([sources[row].speaker for row in rows], pa.string()))
    return with_shards(table, config.clips_per_shard), ends


def time_ranges(duration_s: float, cuts_s: Iterable[float], max_clip_s: float) -> Iterator[tuple[float, float]]:
    """(start, end) in seconds of the clips that a video becomes: each shot, in even parts if it is longer.

    Clips within a shot begin on the grid of 25 frames per second that starts with the shot.
    """
    for start_s, end_s in pairwise((0.0, *cuts_s, duration_s)):
        parts = max(1, ceil((end_s - start_s) / max_clip_s - 1e-9))
        edges = [start_s + round(part * (end_s - start_s) / parts * schema.FPS) / schema.FPS for part in range(parts)]
        yield from pairwise((*edges, end_s))


def clip_id(source: Source, *range_s: float) -> str:
    """16 hex digits: unique, and safe as a file name."""
    part = "".join(f"#{time_s:.3f}" for time_s in range_s)
    return hashlib.blake2s(f"{source.corpus}/{source.path}{part}".encode(), digest_size=8).hexdigest()


def with_shards(table: pa.Table, clips_per_shard: int) -> pa.Table:
    """`schema.MANIFEST`: clips ordered by split and id, each with its shard, `clips_per_shard` per shard.

    Ids are hashes, so their order is a fixed shuffle that mixes corpora and speakers.
    """
    parts = []
    for split in SPLITS:
        part = table.filter(pa.compute.equal(table["split"], split)).sort_by("clip_id")
        shards = pa.array(np.arange(part.num_rows, dtype=np.int32) // clips_per_shard)
        parts.append(part.append_column("shard", shards).select(schema.MANIFEST.names).cast(schema.MANIFEST))
    return pa.concat_tables(parts)
