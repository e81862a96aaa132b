"""What a training refuses before it starts."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avcat.config import SyncNetTraining
from avcat.data.shards import write_shard
from avcat.errors import InputError
from avcat.training.loop import Loggers
from pipelines.train import train_method, train_syncnet
from stages._params import load

sys.path.append(str(Path(__file__).parents[1] / "avcat"))
from small_training import INPUTS, METHODS, SYNC, talking_clip

RUNTIME = replace(load("test").runtime, device="cpu", threads=1)
SILENT = Loggers(lambda *_: None, lambda *_: None)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds of 16 features."""
    folder = tmp_path_factory.mktemp("shards")
    for split in ("train", "val", "test"):
        clips = [talking_clip(f"{split}{i}") for i in range(4)]
        write_shard(folder / split / "shard-000000.tar", [replace(clip, mel=clip.mel[:16]) for clip in clips])
    return folder


def train(config: Any, shards: Path, folder: Path) -> None:
    places = {"shards": shards, "out": folder / "out", "state": folder / "state"}
    if isinstance(config, SyncNetTraining):
        train_syncnet(config, INPUTS, **places, runtime=RUNTIME, loggers=SILENT)
    else:
        train_method(config, INPUTS, syncnet=None, offsets=None, **places, runtime=RUNTIME, loggers=SILENT)


@pytest.mark.parametrize("config", [SYNC, *(config for config, _ in METHODS.values())], ids=["syncnet", *METHODS])
def test_sounds_that_a_network_does_not_hear(config: Any, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sounds of 16 bands, but the network hears 80"):
        train(config, shards, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", [SYNC, METHODS["avcat"][0]], ids=["syncnet", "avcat"])
def test_half_precision_on_a_processor(config: Any, shards: Path, tmp_path: Path) -> None:
    half = replace(config, optimiser=replace(config.optimiser, precision="fp16"))
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        train(half, shards, tmp_path)
