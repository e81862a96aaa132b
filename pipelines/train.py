"""Training of every network: from shards to a model file, its figures and its curves.

Under torchrun all ranks call the same function; the first one writes and has the figures, the others return nothing.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from avcat.checkpoint import load_model, save_model
from avcat.data.inputs import InputConfig
from avcat.data.schema import MEL_BANDS
from avcat.data.windows import ClipStore
from avcat.errors import InputError
from avcat.files import write
from avcat.methods import find
from avcat.methods.syncnet.model import SyncNet
from avcat.methods.syncnet.task import SyncNetTask, SyncNetTraining, judge, overfit
from avcat.settings import to_dict
from avcat.training.loop import Loggers, fingerprint_of, precision_of, run
from avcat.training.ranks import joined, ranks
from avcat.training.task import Training
from avcat.training.threads import Threads
from pipelines.code import code_of
from pipelines.settings import RuntimeConfig
from pipelines.state import file_hash

CACHE_BYTES = 4 << 30  # of decoded crops, held by one training
PRECISION = "precision"  # its name in the log

T = TypeVar("T", bound=Training)


def overfit_syncnet(
    config: SyncNetTraining, *, clips: int, steps: int, shards: Path, runtime: RuntimeConfig, loggers: Loggers
) -> dict[str, float]:
    """Whether the first `clips` training clips can be overfitted (`avcat.methods.syncnet.task.overfit`)."""
    _check_precision(config, runtime)
    threads = Threads(runtime.threads)
    store = _store(shards / "train", config.model.image_size, runtime, first=clips)
    return overfit(config, store, steps, runtime.device, loggers, threads)


def train_method(
    method: str,
    config: Training,
    inputs: InputConfig,
    *,
    syncnet: Path | None,
    shards: Path,
    offsets: Path | None,
    out: Path,
    state: Path,
    runtime: RuntimeConfig,
    loggers: Loggers,
) -> dict[str, float]:
    """Trains a method on `shards/train`, and writes `out/model.pt`, the averaged weights.

    `method` is a folder of `avcat.methods`; `syncnet` the expert of the loss; `offsets` (`schema.OFFSETS`) are the
    clips to leave out, and the sounds to move. A SyncNet is scored on `shards/test`, people never seen.
    """
    _check_precision(config, runtime)
    threads = Threads(runtime.threads)
    model: Any = config.model  # type: ignore[attr-defined]  # every method has one, of its own class
    expert = load_model(syncnet, SyncNet)[0] if syncnet else None
    made_from = _fingerprint(method, config, inputs, shards, *(file_hash(path) for path in (syncnet, offsets) if path))
    with joined(runtime.device) as us:
        config = _with_precision(config, state, made_from, runtime, loggers)
        half = config.half if isinstance(config, SyncNetTraining) else "all"
        train = _store(shards / "train", model.image_size, runtime, half, offsets)
        held_out = _store(shards / "val", model.image_size, runtime, offsets=offsets)
        _check_sound(model, train, shards)
        task = find(method, "task", "TASK")(config, train, held_out, expert, runtime.device)
        if runtime.compile:
            task.compile()
        metrics = run(task, config.optimiser, state, loggers, fingerprint=made_from, threads=threads)
        if isinstance(task, SyncNetTask):  # all ranks together; the last checkpoint is there if it fails
            metrics = judge(task.averaged, _store(shards / "test", model.image_size, runtime), planted=True)
        if not us.leads:
            return {}
        facts = {"steps": config.optimiser.steps, PRECISION: config.optimiser.precision, **metrics}
        save_model(out / "model.pt", method, task.averaged, model, inputs, facts)
        _finish(out, state, metrics)
    return metrics


def _store(
    shards: Path,
    image_size: int,
    runtime: RuntimeConfig,
    half: str = "all",
    offsets: Path | None = None,
    first: int | None = None,
) -> ClipStore:
    return ClipStore(
        shards,
        image_size=image_size,
        cache_bytes=CACHE_BYTES,
        half=half,
        first=first,
        offsets=offsets,
        threads=runtime.loader_threads,
        skip_broken=runtime.broken_shards == "skip",
    )


def _check_precision(config: Training, runtime: RuntimeConfig) -> None:
    if config.optimiser.precision == "fp16" and runtime.device == "cpu":
        raise InputError("optimiser.precision: fp16 is for GPUs; on a processor take bf16 or fp32")


def _with_precision(config: T, state: Path, made_from: str, runtime: RuntimeConfig, loggers: Loggers) -> T:
    """The settings with the precision that this run computes in, which is logged."""
    precision = precision_of(config.optimiser, state, made_from, runtime.device)
    if ranks().leads:
        loggers.note(PRECISION, precision)
    return replace(config, optimiser=replace(config.optimiser, precision=precision))


def _check_sound(model: Any, store: ClipStore, shards: Path) -> None:
    """Raises InputError if a network does not take the shards' sounds. One without `audio` takes only mels."""
    bands = model.audio.bands if hasattr(model, "audio") else MEL_BANDS
    if bands != store.bands:
        raise InputError(f"{shards}: sounds of {store.bands} bands, but the network takes {bands} (docs/features.md)")


def _fingerprint(method: str, config: Training, inputs: InputConfig, shards: Path, *others: str) -> str:
    """Settings, data, hashes of what else went in, and the code: a checkpoint is used only if all are the same."""
    stats = {
        str(p.relative_to(shards)): json.loads(p.read_text())["sha256"] for p in sorted(shards.rglob("*_stats.json"))
    }
    code = code_of(f"avcat.methods.{method}.task")
    return fingerprint_of(to_dict(config), to_dict(inputs), stats, others, code)


def _finish(out: Path, state: Path, metrics: dict[str, float]) -> None:
    """Puts figures and curves beside the model; removes the state for resuming."""
    rounded = {name: round(value, 6) for name, value in metrics.items()}
    write(out / "metrics.json", json.dumps(rounded, indent=1) + "\n")
    write(out / "curves.csv", (state / "curves.csv").read_bytes())
    shutil.rmtree(state)
