"""Training of every network: from shards to a model file, its figures and its curves.

Under torchrun all ranks call the same function; the first one writes and has the figures, the others return nothing.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import avcat.losses
import avcat.models
import avcat.nn
import avcat.training
from avcat.checkpoint import load_model, save_model
from avcat.config import (
    InputConfig,
    MakeItTalkTraining,
    PCAVSTraining,
    RuntimeConfig,
    SyncNetTraining,
    TrainConfig,
    Wav2LipConfig,
    Wav2LipTraining,
    to_dict,
)
from avcat.data.schema import MEL_BANDS
from avcat.data.windows import ClipStore
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.models.syncnet import SyncNet
from avcat.training.avcat import AVCATTask
from avcat.training.loop import Loggers, fingerprint_of, precision_of, run
from avcat.training.makeittalk import MakeItTalkTask
from avcat.training.pc_avs import PCAVSTask
from avcat.training.ranks import joined, ranks
from avcat.training.syncnet import SyncNetTask, judge, overfit
from avcat.training.threads import Threads
from avcat.training.wav2lip import Wav2LipTask
from pipelines.state import code_hash, file_hash

CACHE_BYTES = 4 << 30  # of decoded crops, held by one training
PRECISION = "precision"  # its name in the log

Method = TrainConfig | Wav2LipTraining | PCAVSTraining | MakeItTalkTraining
TASKS: dict[type[Method], tuple[str, Any]] = {  # by settings: the kind of the model file, and its task
    TrainConfig: ("avcat", AVCATTask),
    Wav2LipTraining: ("wav2lip", Wav2LipTask),
    PCAVSTraining: ("pc-avs", PCAVSTask),
    MakeItTalkTraining: ("makeittalk", MakeItTalkTask),
}
Trained = TypeVar("Trained", bound=SyncNetTraining | Method)


def train_syncnet(
    config: SyncNetTraining,
    inputs: InputConfig,
    *,
    shards: Path,
    out: Path,
    state: Path,
    runtime: RuntimeConfig,
    loggers: Loggers,
) -> dict[str, float]:
    """Trains a SyncNet on `shards/train`, writes `out/model.pt`, and scores it on `shards/test`, people never seen."""
    _check_precision(config, runtime)
    threads = Threads(runtime.threads)
    size, made_from = config.model.image_size, _fingerprint(config, inputs, shards)
    with joined(runtime.device) as us:
        config = _with_precision(config, state, made_from, runtime, loggers)
        train = _store(shards / "train", size, runtime, config.half)
        _check_sound(config.model, train, shards)
        task = SyncNetTask(config, train, _store(shards / "val", size, runtime), runtime.device)
        if runtime.compile:
            task.compile()
        run(task, config.optimiser, state, loggers, fingerprint=made_from, threads=threads)
        if not us.leads:
            return {}
        metrics = judge(task.averaged, _store(shards / "test", size, runtime), planted=True)
        facts = {**metrics, "steps": config.optimiser.steps, PRECISION: config.optimiser.precision}
        save_model(out / "model.pt", "syncnet", task.averaged, config.model, inputs, facts)
        _finish(out, state, metrics)
    return metrics


def overfit_syncnet(
    config: SyncNetTraining, *, clips: int, steps: int, shards: Path, runtime: RuntimeConfig, loggers: Loggers
) -> dict[str, float]:
    """Whether the first `clips` training clips can be overfitted (`avcat.training.syncnet.overfit`)."""
    _check_precision(config, runtime)
    threads = Threads(runtime.threads)
    store = _store(shards / "train", config.model.image_size, runtime, first=clips)
    return overfit(config, store, steps, runtime.device, loggers, threads)


def train_method(
    config: Method,
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
    """Trains AV-CAT, or one of its peers, on `shards/train`, and writes `out/model.pt`, the averaged weights.

    `syncnet` is the expert of the loss; `offsets` (`schema.OFFSETS`) are the clips to leave out, and the sounds to
    move.
    """
    _check_precision(config, runtime)
    threads = Threads(runtime.threads)
    size, (kind, task_of) = config.model.image_size, TASKS[type(config)]
    expert = None
    if syncnet is not None:
        network, _ = load_model(syncnet, "syncnet")
        assert isinstance(network, SyncNet)
        expert = network
    made_from = _fingerprint(config, inputs, shards, *(file_hash(path) for path in (syncnet, offsets) if path))
    with joined(runtime.device) as us:
        config = _with_precision(config, state, made_from, runtime, loggers)
        train, held_out = (_store(shards / split, size, runtime, offsets=offsets) for split in ("train", "val"))
        _check_sound(config.model, train, shards)
        task = task_of(config, train, held_out, expert, runtime.device)
        if runtime.compile:
            task.compile()
        metrics = run(task, config.optimiser, state, loggers, fingerprint=made_from, threads=threads)
        if not us.leads:
            return {}
        facts = {"steps": config.optimiser.steps, PRECISION: config.optimiser.precision, **metrics}
        save_model(out / "model.pt", kind, task.averaged, config.model, inputs, facts)
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


def _check_precision(config: SyncNetTraining | Method, runtime: RuntimeConfig) -> None:
    if config.optimiser.precision == "fp16" and runtime.device == "cpu":
        raise InputError("optimiser.precision: fp16 is for GPUs; on a processor take bf16 or fp32")


def _with_precision(config: Trained, state: Path, made_from: str, runtime: RuntimeConfig, loggers: Loggers) -> Trained:
    """The settings with the precision that this run computes in, which is logged."""
    precision = precision_of(config.optimiser, state, made_from, runtime.device)
    if ranks().leads:
        loggers.note(PRECISION, precision)
    return replace(config, optimiser=replace(config.optimiser, precision=precision))


def _check_sound(model: Any, store: ClipStore, shards: Path) -> None:
    """Raises InputError if a network does not take the shards' sounds. Wav2Lip's own encoder takes only mels."""
    hears = [model.audio.bands] if hasattr(model, "audio") else []
    if isinstance(model, Wav2LipConfig) or getattr(model, "wav2lip", None) is not None:
        hears.append(MEL_BANDS)
    for bands in hears:
        if bands != store.bands:
            raise InputError(
                f"{shards}: sounds of {store.bands} bands, but the network takes {bands} (docs/features.md)"
            )


def _fingerprint(config: SyncNetTraining | Method, inputs: InputConfig, shards: Path, *others: str) -> str:
    """Settings, data, hashes of what else went in, and the code: a checkpoint is used only if all are the same."""
    stats = {
        str(p.relative_to(shards)): json.loads(p.read_text())["sha256"] for p in sorted(shards.rglob("*_stats.json"))
    }
    code = code_hash(avcat.losses, avcat.models, avcat.nn, avcat.training)
    return fingerprint_of(to_dict(config), to_dict(inputs), stats, others, code)


def _finish(out: Path, state: Path, metrics: dict[str, float]) -> None:
    """Puts figures and curves beside the model; removes the state for resuming."""
    with atomic_path(out / "metrics.json") as part:
        part.write_text(json.dumps({name: round(value, 6) for name, value in metrics.items()}, indent=1) + "\n")
    with atomic_path(out / "curves.csv") as part:
        shutil.copyfile(state / "curves.csv", part)
    shutil.rmtree(state)
