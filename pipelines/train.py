"""Training of both networks: from shards to a model file, its figures and its curves."""

import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from avcat.checkpoint import load_model, save_model
from avcat.config import InputConfig, RuntimeConfig, SyncNetTraining, TrainConfig, to_dict
from avcat.data.windows import ClipStore
from avcat.files import atomic_path
from avcat.models.syncnet import SyncNet
from avcat.training.avcat import AVCATTask
from avcat.training.loop import Loggers, fingerprint_of, run
from avcat.training.ranks import ranks
from avcat.training.syncnet import SyncNetTask, judge
from pipelines.group import train_together

CACHE_BYTES = 4 << 30  # of decoded crops, held by one training


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
    """Trains a SyncNet on `shards/train`, writes `out/model.pt`, and judges it on `shards/test`, people never seen."""
    settings: dict[str, Any] = {"config": config, "inputs": inputs}
    settings |= _absolute(shards=shards, out=out, state=state)
    clips = config.optimiser.batch_clips
    train_together(_learn_syncnet, settings, clips=clips, state=settings["state"], runtime=runtime, loggers=loggers)
    return _metrics(out)


def train_avcat(
    config: TrainConfig,
    inputs: InputConfig,
    *,
    syncnet: Path | None,
    shards: Path,
    out: Path,
    state: Path,
    runtime: RuntimeConfig,
    loggers: Loggers,
) -> dict[str, float]:
    """Trains AV-CAT on `shards/train` with the expert `syncnet`, and writes `out/model.pt`, the averaged weights."""
    settings: dict[str, Any] = {"config": config, "inputs": inputs}
    settings |= _absolute(shards=shards, out=out, state=state)
    settings["syncnet"] = syncnet and syncnet.resolve()
    clips = config.optimiser.batch_clips
    train_together(_learn_avcat, settings, clips=clips, state=settings["state"], runtime=runtime, loggers=loggers)
    return _metrics(out)


def _learn_syncnet(
    config: SyncNetTraining, inputs: InputConfig, shards: Path, out: Path, state: Path, device: str, loggers: Loggers
) -> None:
    """`train_syncnet` on one of its workers."""
    size = config.model.image_size
    train = ClipStore(shards / "train", image_size=size, cache_bytes=CACHE_BYTES, half=config.half)
    task = SyncNetTask(config, train, _held_out(shards, "val", size), device)
    run(task, config.optimiser, state, loggers, fingerprint=_fingerprint(config, inputs, shards))
    if ranks().leads:
        metrics = judge(task.averaged, _held_out(shards, "test", size), planted=True)
        _finish(out, state, "syncnet", task.averaged, config, inputs, metrics)


def _learn_avcat(
    config: TrainConfig,
    inputs: InputConfig,
    syncnet: Path | None,
    shards: Path,
    out: Path,
    state: Path,
    device: str,
    loggers: Loggers,
) -> None:
    """`train_avcat` on one of its workers."""
    size = config.model.image_size
    expert = None if syncnet is None else load_model(syncnet, "syncnet")[0]
    assert expert is None or isinstance(expert, SyncNet)
    train = ClipStore(shards / "train", image_size=size, cache_bytes=CACHE_BYTES)
    task = AVCATTask(config, train, _held_out(shards, "val", size), expert, device)
    metrics = run(task, config.optimiser, state, loggers, fingerprint=_fingerprint(config, inputs, shards))
    if ranks().leads:
        _finish(out, state, "avcat", task.averaged, config, inputs, metrics)


def _absolute(**paths: Path) -> dict[str, Path]:
    """Workers start elsewhere."""
    return {name: path.resolve() for name, path in paths.items()}


def _held_out(shards: Path, split: str, image_size: int) -> ClipStore:
    return ClipStore(shards / split, image_size=image_size, cache_bytes=CACHE_BYTES)


def _fingerprint(config: SyncNetTraining | TrainConfig, inputs: InputConfig, shards: Path) -> str:
    """Settings and data: a checkpoint goes on only with the same of both."""
    stats = {
        str(p.relative_to(shards)): json.loads(p.read_text())["sha256"] for p in sorted(shards.rglob("*_stats.json"))
    }
    return fingerprint_of(to_dict(config), to_dict(inputs), stats)


def _finish(
    out: Path,
    state: Path,
    kind: str,
    network: nn.Module,
    config: SyncNetTraining | TrainConfig,
    inputs: InputConfig,
    metrics: dict[str, float],
) -> None:
    """Writes the model, its figures and its curves."""
    facts = {"steps": config.optimiser.steps, **metrics}
    save_model(out / "model.pt", kind, network, config.model, inputs, facts)
    with atomic_path(out / "metrics.json") as part:
        part.write_text(json.dumps({name: round(value, 6) for name, value in metrics.items()}, indent=1) + "\n")
    with atomic_path(out / "curves.csv") as part:
        shutil.copyfile(state / "curves.csv", part)


def _metrics(out: Path) -> dict[str, float]:
    figures: dict[str, float] = json.loads((out / "metrics.json").read_text())
    return figures
