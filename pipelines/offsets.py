"""Which clips' sounds do not fit their pictures, and by how much others are early or late, as SyncNet measures it."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from avcat.checkpoint import load_model
from avcat.data import schema
from avcat.data.shards import ShardReader, open_shards
from avcat.errors import InputError
from avcat.files import absolute, write
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics.embed import embed_clip
from avcat.metrics.sync import SyncScore, sync_scores
from avcat.settings import Count, Natural, settings
from pipelines.clips import SPLITS
from pipelines.parallel import Failed, Progress, parallel
from pipelines.resources import Resources
from pipelines.settings import RuntimeConfig

BATCH_WINDOWS = 64


@settings
class OffsetsConfig:
    """Clips with a foreign, early or late sound, as measured by SyncNet."""

    check: bool  # run the check?
    max_shift: Count  # frames searched to each side
    max_offset: Natural  # frames; more rejects the clip: "sound and picture apart"
    min_confidence: float  # of SyncNet; less rejects the clip: "sound and picture do not fit"
    correct: bool  # shifts the sound of the remaining clips by the measured offset


def find_offsets(
    config: OffsetsConfig,
    *,
    shards: Path,
    syncnet: Path,
    out: Path,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes `schema.OFFSETS` of all clips in the shards, of none unless `config.check`; returns the counts.

    Ray must be connected if it is to check. Raises InputError if a shard or the SyncNet cannot be read.
    """
    tars = [absolute(r.path) for split in SPLITS for r in open_shards(shards / split)] if config.check else []
    gpus = runtime.worker_gpus if runtime.device == "cuda" else 0.0
    settings = {"config": config, "syncnet": absolute(syncnet), "device": "cuda" if gpus else "cpu"}
    rows: dict[int, list[dict[str, Any]]] = {}
    results = parallel(
        tars, OffsetFinder, settings, workers=runtime.workers, resources=Resources(num_gpus=gpus), progress=progress
    )
    with closing(results):
        for position, result in results:
            if isinstance(result, Failed):
                raise InputError(f"{tars[position]}: {result.reason}")
            rows[position] = result
    ordered = [row for _, part in sorted(rows.items()) for row in part]
    write(out, pa.Table.from_pylist(ordered, schema=schema.OFFSETS))
    return {
        "clips": len(ordered),
        "moved": sum(row["move"] != 0 for row in ordered),
        "rejected": dict(sorted(Counter(row["reason"] for row in ordered if row["reason"]).items())),
        "offsets": _histogram([row["offset"] for row in ordered]),
    }


def _histogram(offsets: list[int]) -> dict[str, int]:
    """How many clips have each offset, by its name, `+3`; without gaps, so that a picture of it is to scale."""
    counts = Counter(offsets)
    return {f"{offset:+d}": counts[offset] for offset in range(min(offsets), max(offsets) + 1)} if offsets else {}


class OffsetFinder:
    """The worker: the rows of one shard's clips."""

    def __init__(self, config: OffsetsConfig, syncnet: Path, device: str) -> None:
        network, _ = load_model(syncnet, SyncNet, device)
        self._config, self._network = config, network

    def __call__(self, tar: Path) -> list[dict[str, Any]]:
        reader = ShardReader(tar)
        facts = reader.clips.select(["clip_id", "frames"]).to_pylist()
        return [
            {"clip_id": row["clip_id"], "split": reader.meta(i)["split"], **self._row(reader, i)}
            for i, row in enumerate(facts)
            if row["frames"] >= schema.WINDOW_FRAMES
        ]

    def _row(self, reader: ShardReader, clip: int) -> dict[str, Any]:
        faces, sounds = embed_clip(self._network, reader.frames(clip), reader.mel(clip), BATCH_WINDOWS)
        score = sync_scores(faces, sounds, self._config.max_shift)
        reason = reject_reason(score, self._config)
        move = score.offset if self._config.correct and not reason else 0
        found = {"offset": score.offset, "confidence": score.confidence, "windows": score.windows}
        return {**found, "move": move, "reason": reason}


def reject_reason(score: SyncScore, config: OffsetsConfig) -> str:
    """Why training leaves a clip out, or nothing."""
    if score.confidence < config.min_confidence:
        return "sound and picture do not fit"
    return "sound and picture apart" if abs(score.offset) > config.max_offset else ""
