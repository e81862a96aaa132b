"""What a training refuses before it starts, and what it reports."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avcat.checkpoint import read_facts
from avcat.data.shards import write_shard
from avcat.errors import InputError
from avcat.methods.syncnet.task import SyncNetTraining
from avcat.training.loop import Loggers
from pipelines.train import train_method
from stages._params import load

sys.path.append(str(Path(__file__).parents[1] / "avcat"))
from small_training import INPUTS, METHODS, SYNC, talking_clip

RUNTIME = replace(load("test").runtime, device="cpu", threads=1)
SILENT = Loggers(lambda *_: None, lambda *_: None)


@pytest.fixture(scope="module")
def heard_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heard")
    for split in ("train", "val", "test"):
        write_shard(folder / split / "shard-000000.tar", [talking_clip(f"{split}{i}") for i in range(4)])
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds of 16 features."""
    folder = tmp_path_factory.mktemp("shards")
    for split in ("train", "val", "test"):
        clips = [talking_clip(f"{split}{i}") for i in range(4)]
        write_shard(folder / split / "shard-000000.tar", [replace(clip, mel=clip.mel[:16]) for clip in clips])
    return folder


def train(config: Any, shards: Path, folder: Path, loggers: Loggers = SILENT) -> None:
    places = {"shards": shards, "out": folder / "out", "state": folder / "state"}
    known = {"syncnet": SYNC, **{name: config for name, (config, _) in METHODS.items()}}
    method = next(name for name, settings in known.items() if type(config) is type(settings))
    train_method(method, config, INPUTS, syncnet=None, offsets=None, **places, runtime=RUNTIME, loggers=loggers)


@pytest.mark.parametrize("config", [SYNC, *(config for config, _ in METHODS.values())], ids=["syncnet", *METHODS])
def test_sounds_that_a_network_does_not_hear(config: Any, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sounds of 16 bands, but the network takes 80"):
        train(config, shards, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", [SYNC, METHODS["avcat"][0]], ids=["syncnet", "avcat"])
def test_half_precision_on_a_processor(config: Any, shards: Path, tmp_path: Path) -> None:
    half = replace(config, optimiser=replace(config.optimiser, precision="fp16"))
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        train(half, shards, tmp_path)


@pytest.mark.parametrize("quickest", ["fp32", "bf16"])
@pytest.mark.parametrize("config", [SYNC, METHODS["makeittalk"][0]], ids=["syncnet", "makeittalk"])
def test_the_precision_that_was_chosen_is_noted(
    config: Any, quickest: str, heard_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avcat.nn.precision.quickest", lambda _: quickest)
    optimiser = replace(config.optimiser, precision="auto", steps=2, validate_every=2)
    config = replace(config, optimiser=optimiser)
    if not isinstance(config, SyncNetTraining):
        config = replace(config, audio_from_syncnet=False, audio_frozen=False)
    notes: dict[str, str] = {}
    train(config, heard_shards, tmp_path, replace(SILENT, note=notes.__setitem__))
    assert notes == {"precision": quickest}
    assert read_facts(tmp_path / "out" / "model.pt").facts["precision"] == quickest
