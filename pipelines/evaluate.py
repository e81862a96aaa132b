"""Scores one method on one corpus: clips spread over Ray actors, figures that do not depend on how many there are."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from numpy.typing import NDArray

import avcat.face
from avcat.checkpoint import load_model, read_facts
from avcat.data.shards import ShardReader, open_shards
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.files import absolute, atomic_path
from avcat.media.audio import load_audio
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics.clip import ClipScorer
from avcat.metrics.drawers import Crops, build_drawer, check_checkpoint
from avcat.metrics.figures import FIGURES
from avcat.metrics.lse import load_official
from avcat.metrics.marks import Marker
from avcat.metrics.mfcc import SAMPLE_RATE
from avcat.metrics.pair import EvaluateConfig, Judges
from avcat.metrics.perceptual import Perceptual
from avcat.metrics.results import BOUNDS, decode_strip, encode_strip, to_json
from avcat.metrics.summary import summarise
from avcat.seeding import seed_of
from pipelines.clips import read_manifest, reading
from pipelines.outcome import Failed, Outcome, Rejected, check_failures
from pipelines.parallel import Progress, parallel
from pipelines.predictions import UNREADABLE, Predictions, read_crops
from pipelines.resources import Resources
from pipelines.settings import RuntimeConfig
from pipelines.state import code_hash

STRIPS = 4  # clips with pictures that are kept
JUDGE = "evaluator SyncNet"
NO_LPIPS = "no weights of its backbone were given (evaluate.lpips_weights)"
NO_OFFICIAL = "no weights of the official SyncNet were given (evaluate.syncnet)"

Drawing = Callable[["Job", Crops, NDArray[np.float32]], tuple[Crops, Crops]]  # the output, and its ceiling

CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("corpus", pa.string()),
        ("speaker", pa.string()),
        ("method", pa.string()),
        ("status", pa.string()),  # ok, failed, rejected: a prediction that cannot be used
        ("reason", pa.string()),  # empty if ok
        ("frames", pa.int32()),
        *((name, pa.float64()) for name in FIGURES),  # NaN: not counted
        ("opening_truth", pa.list_(pa.float64())),  # one per frame, the reference frame too
        ("opening", pa.list_(pa.float64())),
        ("sync_distances", pa.list_(pa.float64())),  # one per offset, -sync_max_shift to sync_max_shift frames
    ]
)


@dataclass(frozen=True)
class Job:
    """A clip to score."""

    clip_id: str
    corpus: str
    speaker: str
    frames: int
    tar: Path
    row: int
    source: Mapping[str, Any] | None = None  # the clip's row of the manifest, if its own file is needed


@dataclass(frozen=True)
class Evaluation:
    """The scores of one method on one corpus; `strips` are PNGs by clip id."""

    metrics: dict[str, Any]
    clips: pa.Table
    strips: dict[str, bytes]

    def means(self) -> dict[str, Any]:
        """Clips, failed clips and the mean of every figure that could be counted: the summary of a run."""
        counted = {name: figure["mean"] for name, figure in self.metrics["figures"].items() if figure["n"]}
        share = self.metrics["opening_of_ceiling"]
        counts = {name: self.metrics[name] for name in ("clips", "failed", "frames")}
        counts |= {"reasons": self.metrics["reasons"]} if self.metrics["reasons"] else {}
        finite = {name: mean for name, mean in counted.items() if mean != "inf"}
        return counts | finite | ({} if share is None else {"opening_of_ceiling": share})

    def pictures(self) -> dict[str, np.ndarray]:
        """The strips by clip id, as uint8 [S, n S, 3] RGB."""
        return {clip_id: np.hstack(list(decode_strip(png))) for clip_id, png in self.strips.items()}

    def write(self, folder: Path) -> None:
        """Writes `clips.parquet`, `strips/<clip_id>.png` and, last, `metrics.json`; deterministic bytes.

        Files of an earlier evaluation in the folder are removed.
        """
        (folder / "metrics.json").unlink(missing_ok=True)
        for strip in folder.glob("strips/*.png"):
            strip.unlink()
        (folder / "strips").mkdir(parents=True, exist_ok=True)
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
    max_failed_fraction: float,
    runtime: RuntimeConfig,
    manifest: Path | None = None,
    predictions: Path | None = None,
    marks: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores `method` on the clips of `corpus` in the folder `shards` (those of one split); Ray is connected.

    `checkpoint` is the method's model, None for the two methods that need none; `evaluator` the SyncNet that measures,
    None leaves its figures empty. With `predictions`, a folder of videos, those are scored under the name `method`.
    They and the official SyncNet need the `manifest`, to find the clips' own files. What the detector found in true
    frames is kept in the folder `marks` for the next method. A clip that fails is a row with its reason, and lowers the
    coverage. Raises InputError if there is no clip, a model cannot be used, or more than `max_failed_fraction` of
    the clips fail.
    """
    config = _absolute(config)
    if predictions is None:
        check_models(method, checkpoint, evaluator)
    check_weights(config)
    jobs = choose_clips(list_clips(shards, corpus), config)
    if predictions or config.syncnet:
        assert manifest is not None, "the clips' own files are in the manifest"
        jobs = with_sources(jobs, manifest)
    settings = {
        "method": method,
        "checkpoint": checkpoint and checkpoint.absolute(),
        "evaluator": evaluator and evaluator.absolute(),
        "predictions": predictions and _predictions(predictions.absolute(), manifest),
        "marks": marks and absolute(marks) / code_hash(avcat.face),
        "config": config,
        "device": "cuda" if (gpus := _gpus_per_worker(runtime)) else "cpu",
        "shown": {job.clip_id for job in first_of_each_speaker(jobs)[:STRIPS]},
        "here": Path.cwd(),
    }
    rows: dict[str, dict[str, Any]] = {}
    strips: dict[str, bytes] = {}
    resources, sizes = Resources(num_gpus=gpus), [job.frames for job in jobs]
    work = parallel(
        jobs, Scorer, settings, workers=runtime.workers, resources=resources, sizes=sizes, progress=progress
    )
    for position, result in work:
        job = jobs[position]
        figures, png = (_unknown(result), b"") if isinstance(result, Failed) else result
        rows[job.clip_id] = {**_facts(job, method), **figures}
        if png:
            strips[job.clip_id] = png
    ordered = [rows[job.clip_id] for job in jobs]
    check_failures((_outcome(row) for row in ordered), max_failed_fraction)
    metrics = corpus_metrics(method, corpus, ordered, JUDGE if evaluator else "", config)
    return Evaluation(metrics, pa.Table.from_pylist(ordered, schema=CLIPS), dict(sorted(strips.items())))


def _predictions(folder: Path, manifest: Path | None) -> Predictions:
    assert manifest is not None
    table = read_manifest(manifest).table.select(["corpus", "path", "split"])
    return Predictions(folder, table.filter(pa.compute.equal(table["split"], "test")).to_pylist())


def _absolute(config: EvaluateConfig) -> EvaluateConfig:
    """The same for workers in another folder."""
    lpips, syncnet = (path and str(Path(path).absolute()) for path in (config.lpips_weights, config.syncnet))
    return replace(config, lpips_weights=lpips, syncnet=syncnet)


def check_weights(config: EvaluateConfig) -> None:
    """Checks, before any worker starts, that the networks that measure are available. Raises InputError."""
    if config.lpips_weights:
        Perceptual(config.lpips_weights, config.batch_frames)
    if config.syncnet:
        load_official(config.syncnet)


def with_sources(jobs: Sequence[Job], manifest: Path) -> list[Job]:
    """The jobs with their rows of the manifest. Raises InputError if one has none."""
    wanted = {job.clip_id for job in jobs}
    table = read_manifest(manifest).table
    chosen = table.filter(pa.compute.is_in(table["clip_id"], pa.array(sorted(wanted))))
    rows = {row["clip_id"]: row for row in chosen.to_pylist()}
    if missing := sorted(wanted - rows.keys()):
        raise InputError(f"{manifest}: has no clip {missing[0]}, which the shards have")
    return [replace(job, source=rows[job.clip_id]) for job in jobs]


def check_models(method: str, checkpoint: Path | None, evaluator: Path | None) -> None:
    """Checks, before any worker starts, what the user can fix about the model files. Raises InputError."""
    if method not in BOUNDS and checkpoint is None:
        raise InputError(f"{method}: this method needs a trained model")
    if checkpoint:
        check_checkpoint(checkpoint)
    if evaluator:
        read_facts(evaluator, SyncNet)


def list_clips(shards: Path, corpus: str) -> list[Job]:
    """The clips of a corpus in a folder of shards. Raises InputError if there are none."""
    jobs = [
        Job(row["clip_id"], corpus, row["speaker"], row["frames"], reader.path.absolute(), i)
        for reader in open_shards(shards)
        for i, row in enumerate(reader.clips.select(["clip_id", "corpus", "speaker", "frames"]).to_pylist())
        if row["corpus"] == corpus
    ]
    if not jobs:
        raise InputError(f"{shards}: no clip of {corpus!r}")
    return jobs


def choose_clips(jobs: Sequence[Job], config: EvaluateConfig) -> list[Job]:
    """`clips_per_corpus` clips in the order of their ids, chosen by content: as many speakers as possible."""
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
    firsts: dict[str, Job] = {}
    for job in jobs:
        firsts.setdefault(job.speaker, job)
    return list(firsts.values())


def corpus_metrics(
    method: str, corpus: str, rows: Sequence[dict[str, Any]], judge: str, config: EvaluateConfig
) -> dict[str, Any]:
    """What `metrics.json` holds (`avcat.metrics.results`), from the rows of the clips."""
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
        "failed": sum(row["status"] != "ok" for row in rows),
        "reasons": dict(sorted(Counter(row["reason"] for row in rows if row["status"] != "ok").items())),
        "frames": sum(row["frames"] for row in rows),
        "speakers": len(set(speakers)),
        "judge": judge,
        "unmeasured": unmeasured(config),
        "opening_of_ceiling": to_json(figures["opening_correlation"].mean / ceiling if ceiling else math.nan),
        "figures": {name: {k: to_json(v) for k, v in asdict(figure).items()} for name, figure in figures.items()},
    }


def unmeasured(config: EvaluateConfig) -> dict[str, str]:
    """By judge: why its figures are empty."""
    return ({} if config.lpips_weights else {"lpips": NO_LPIPS}) | ({} if config.syncnet else {"official": NO_OFFICIAL})


class Scorer:
    """What one worker holds: its own networks and its own detector."""

    def __init__(
        self,
        *,
        method: str,
        checkpoint: Path | None,
        evaluator: Path | None,
        predictions: Predictions | None = None,
        marks: Path | None = None,
        config: EvaluateConfig,
        device: str,
        shown: set[str],
        here: Path = Path(),
    ) -> None:
        torch.set_num_threads(1)  # one order of summation, on any number of cores
        syncnet = load_model(evaluator, SyncNet, device)[0] if evaluator else None
        judges = Judges(
            syncnet,
            load_official(config.syncnet, device) if config.syncnet else None,
            Perceptual(config.lpips_weights, config.batch_frames, device) if config.lpips_weights else None,
        )
        self._draw: Drawing
        if predictions:
            self._draw = _Reading(predictions)
        else:
            self._draw = _Drawing(method, checkpoint, config.batch_frames, device)
        self._score = ClipScorer(Marker(MediaPipeDetector(), marks), judges, config)
        self._hears, self._shown, self._here = bool(config.syncnet), shown, here

    def __call__(self, job: Job) -> tuple[dict[str, Any], bytes]:
        """The clip's figures as in `CLIPS`, and its strip as PNG if it is one that is shown."""
        reader = ShardReader(job.tar)
        truth, mel = reader.frames(job.row), reader.mel(job.row)
        drawn, ceiling = self._draw(job, truth, mel)
        figures, pictures = self._score(truth, drawn, ceiling, mel, self._sound(job) if self._hears else None)
        done = {**figures, "status": "ok", "reason": ""}
        return done, encode_strip(pictures) if job.clip_id in self._shown else b""

    def _sound(self, job: Job) -> NDArray[np.float32]:
        assert job.source is not None
        with reading(job.source, self._here) as path:
            return load_audio(path, SAMPLE_RATE, job.source["start_s"], job.source["end_s"])


class _Drawing:
    """What a method draws."""

    def __init__(self, method: str, checkpoint: Path | None, batch_frames: int, device: str) -> None:
        self._method = build_drawer(method, checkpoint, batch_frames, device)

    def __call__(self, job: Job, truth: Crops, mel: NDArray[np.float32]) -> tuple[Crops, Crops]:
        return self._method.draw(truth, mel), self._method.ceiling(truth)


class _Reading:
    """The output of an external program. Its picture size is unknown, so its ceiling is the truth's."""

    def __init__(self, predictions: Predictions) -> None:
        self._predictions = predictions

    def __call__(self, job: Job, truth: Crops, mel: NDArray[np.float32]) -> tuple[Crops, Crops]:
        assert job.source is not None
        path, start_s = self._predictions.find(job.source)
        matrices = ShardReader(job.tar).landmarks(job.row).matrix
        try:
            return read_crops(path, start_s, job.source, matrices, truth.shape[1]), truth
        except InputError as error:
            raise Rejected(UNREADABLE) from error


def _facts(job: Job, method: str) -> dict[str, Any]:
    return {
        "clip_id": job.clip_id,
        "corpus": job.corpus,
        "speaker": job.speaker,
        "method": method,
        "frames": job.frames,
    }


def _unknown(failed: Failed) -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(FIGURES, math.nan)
    return {
        **nothing,
        "opening_truth": [],
        "opening": [],
        "sync_distances": [],
        "status": "rejected" if failed.rejected else "failed",
        "reason": failed.reason,
    }


def _outcome(row: dict[str, Any]) -> Outcome:
    """The part of an outcome that counting failures needs."""
    place = {"clip_id": row["clip_id"], "corpus": row["corpus"], "path": "", "start_s": 0.0, "end_s": 0.0}
    return Outcome(**place, split="test", stage="evaluate", status=row["status"], reason=row["reason"])


def _gpus_per_worker(runtime: RuntimeConfig) -> float:
    """The share of a GPU that each worker gets, at least `worker_gpus`; 0 if there is none or the CPU is requested."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    if runtime.device == "cpu" or not resources.get("GPU"):
        return 0.0
    return min(1.0, max(runtime.worker_gpus, resources["GPU"] / (runtime.workers or resources["CPU"])))
