"""Scores one method on one corpus: clips spread over Ray actors, figures that do not depend on how many there are."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.util import ActorPool

from avcat.checkpoint import read_facts
from avcat.config import EvaluateConfig, RuntimeConfig
from avcat.data.shards import ShardReader, open_shards
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.metrics.clip import FIGURES
from avcat.metrics.summary import summarise
from avcat.report.results import to_json
from avcat.seeding import seed_of

STRIPS = 4  # clips whose pictures are kept
JUDGE = "evaluator SyncNet"

CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("corpus", pa.string()),
        ("speaker", pa.string()),
        ("method", pa.string()),
        ("status", pa.string()),  # ok, failed
        ("reason", pa.string()),  # empty where ok
        ("frames", pa.int32()),
        *((name, pa.float64()) for name in FIGURES),  # NaN: not counted
        ("opening_truth", pa.list_(pa.float64())),  # one a frame, the reference frame too
        ("opening", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Job:
    """A clip to score."""

    clip_id: str
    speaker: str
    frames: int
    tar: Path
    row: int


@dataclass(frozen=True)
class Evaluation:
    """What one method scored on one corpus; `strips` are PNGs by clip id."""

    metrics: dict[str, Any]
    clips: pa.Table
    strips: dict[str, bytes]

    def write(self, folder: Path) -> None:
        """Writes `clips.parquet`, `strips/<clip_id>.png` and, last, `metrics.json`; deterministic bytes."""
        for clip_id, png in self.strips.items():
            with atomic_path(folder / "strips" / f"{clip_id}.png") as part:
                part.write_bytes(png)
        with atomic_path(folder / "clips.parquet") as part:
            pq.write_table(self.clips, part)
        with atomic_path(folder / "metrics.json") as part:
            part.write_text(json.dumps(self.metrics, indent=1) + "\n")


def evaluate(
    method: str,
    corpus: str,
    *,
    shards: Path,
    checkpoint: Path | None,
    evaluator: Path | None,
    config: EvaluateConfig,
    runtime: RuntimeConfig,
    progress: Callable[[int, int], None],
) -> Evaluation:
    """Scores `method` on the test clips of `corpus` in the folder `shards`; Ray is running.

    `checkpoint` is the method's model, None for the two methods that need none; `evaluator` the SyncNet that measures,
    None leaves its figures empty. `progress` is called with clips done and clips in all. A clip that fails is a row
    with its reason, and lowers the coverage. Raises InputError where there is no clip, a model cannot be used, or every
    clip failed.
    """
    _check_models(checkpoint, evaluator)
    jobs = choose_clips(list_clips(shards, corpus), config)
    kept = {job.clip_id for job in first_of_each_speaker(jobs)[:STRIPS]}
    scorers = _scorers(method, checkpoint, evaluator, config, runtime, len(jobs))
    rows: dict[str, dict[str, Any]] = {}
    strips: dict[str, bytes] = {}
    try:
        pool = ActorPool(scorers)
        for row, png in pool.map_unordered(lambda scorer, job: scorer.score.remote(job, job.clip_id in kept), jobs):
            rows[row["clip_id"]] = {**row, "method": method, "corpus": corpus}
            if png:
                strips[row["clip_id"]] = png
            progress(len(rows), len(jobs))
    finally:
        for scorer in scorers:
            ray.kill(scorer)
    ordered = [rows[job.clip_id] for job in jobs]
    if all(row["status"] == "failed" for row in ordered):
        raise InputError(f"{method} on {corpus}: every clip failed, the first with: {ordered[0]['reason']}")
    judge = JUDGE if evaluator else ""
    metrics = corpus_metrics(method, corpus, ordered, judge, config)
    return Evaluation(metrics, pa.Table.from_pylist(ordered, schema=CLIPS), dict(sorted(strips.items())))


def list_clips(shards: Path, corpus: str) -> list[Job]:
    """The clips of a corpus in a folder of shards. Raises InputError where there are none."""
    jobs = [
        Job(row["clip_id"], row["speaker"], row["frames"], reader.path.absolute(), i)
        for reader in open_shards(shards)
        for i, row in enumerate(reader.clips.select(["clip_id", "corpus", "speaker", "frames"]).to_pylist())
        if row["corpus"] == corpus
    ]
    if not jobs:
        raise InputError(f"{shards}: no clip of {corpus!r}")
    return jobs


def choose_clips(jobs: Sequence[Job], config: EvaluateConfig) -> list[Job]:
    """`clips_per_corpus` clips in the order of their ids, chosen by content: as many speakers as there can be."""
    if config.clips_per_corpus == 0:
        return sorted(jobs, key=lambda job: job.clip_id)
    turns: Counter[str] = Counter()
    ranked = []
    for job in sorted(jobs, key=lambda job: seed_of("evaluate", config.seed, job.clip_id)):
        turns[job.speaker] += 1
        ranked.append((turns[job.speaker], job))
    chosen = sorted(ranked, key=lambda pair: pair[0])[: config.clips_per_corpus]
    return sorted((job for _, job in chosen), key=lambda job: job.clip_id)


def first_of_each_speaker(jobs: Sequence[Job]) -> list[Job]:
    """One clip of each speaker, in the order given."""
    return list({job.speaker: job for job in reversed(jobs)}.values())[::-1]


def corpus_metrics(
    method: str, corpus: str, rows: Sequence[dict[str, Any]], judge: str, config: EvaluateConfig
) -> dict[str, Any]:
    """What `metrics.json` holds (`avcat.report.results`), from the rows of the clips."""
    speakers = [row["speaker"] for row in rows]
    figures = {
        name: summarise([row[name] for row in rows], speakers, config.bootstrap_samples, config.seed)
        for name in FIGURES
    }
    ceiling = figures["opening_ceiling"].mean
    return {
        "method": method,
        "corpus": corpus,
        "clips": len(rows),
        "failed": sum(row["status"] == "failed" for row in rows),
        "frames": sum(row["frames"] for row in rows),
        "speakers": len(set(speakers)),
        "judge": judge,
        "opening_of_ceiling": to_json(figures["opening_correlation"].mean / ceiling if ceiling else math.nan),
        "figures": {name: {k: to_json(v) for k, v in asdict(figure).items()} for name, figure in figures.items()},
    }


class Scorer:
    """One actor: one thread, its own networks and its own detector."""

    def __init__(
        self, method: str, checkpoint: Path | None, evaluator: Path | None, config: EvaluateConfig, device: str
    ) -> None:
        import torch

        from avcat.checkpoint import load_model
        from avcat.face.landmarks import MediaPipeDetector
        from avcat.metrics.clip import ClipScorer
        from avcat.metrics.methods import build_method

        torch.set_num_threads(1)  # sums of one thread: the figures do not depend on the machine's cores
        cv2.setNumThreads(1)
        judge: Any = load_model(evaluator, "syncnet", device)[0] if evaluator else None
        drawer = build_method(method, checkpoint, config.batch_frames, device)
        self._score = ClipScorer(drawer, MediaPipeDetector(), judge, config)

    def score(self, job: Job, strip: bool) -> tuple[dict[str, Any], bytes]:
        """The clip's row (`CLIPS`), and its strip as PNG where it is wanted."""
        row: dict[str, Any] = {"clip_id": job.clip_id, "speaker": job.speaker, "frames": job.frames}
        try:
            reader = ShardReader(job.tar)
            figures, pictures = self._score(reader.frames(job.row), reader.mel(job.row))
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            unknown: dict[str, Any] = dict.fromkeys(FIGURES, float("nan")) | {"opening_truth": [], "opening": []}
            return {**row, **unknown, "status": "failed", "reason": reason}, b""
        return {**row, **figures, "status": "ok", "reason": ""}, _png(pictures) if strip else b""


def _png(pictures: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(np.hstack(list(pictures)), cv2.COLOR_RGB2BGR))
    assert done, "PNG encoding cannot fail for a uint8 image"
    return data.tobytes()


def _check_models(checkpoint: Path | None, evaluator: Path | None) -> None:
    """Finds out here, and not in an actor, what the user can mend."""
    for path, kind in ((checkpoint, "avcat"), (evaluator, "syncnet")):
        if path and read_facts(path).kind != kind:
            raise InputError(f"{path}: not a model of kind {kind}")


def _scorers(
    method: str,
    checkpoint: Path | None,
    evaluator: Path | None,
    config: EvaluateConfig,
    runtime: RuntimeConfig,
    clips: int,
) -> list[Any]:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    count = max(1, min(clips, runtime.workers or int(resources["CPU"])))
    gpus = 0.0 if runtime.device == "cpu" else resources.get("GPU", 0.0) / count
    actor: Any = ray.remote(Scorer).options(num_cpus=1, num_gpus=gpus, max_restarts=0)
    models = [path.absolute() if path else None for path in (checkpoint, evaluator)]
    return [actor.remote(method, *models, config, "cuda" if gpus else "cpu") for _ in range(count)]
