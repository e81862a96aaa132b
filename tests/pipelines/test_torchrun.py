"""`torchrun` starts several processes that train one network, of which the first writes."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avcat.checkpoint import read_facts
from avcat.data.shards import Landmarks, ShardClip, write_shard
from avcat.media.pictures import jpeg
from avcat.seeding import rng_of
from avcat.training.loop import Loggers
from pipelines.train import train_method
from stages._params import load

FRAMES, SIZE = 20, 64
PARAMS = load("test")


# A batch that two can share, and AdamW, which sums in another order hardly change.
OPTIMISER = dataclasses.replace(PARAMS.train.optimiser, batch_clips=2, muon=False)


def write_clips(folder: Path) -> None:
    for split in ("train", "val", "test"):
        clips = []
        for n in range(3):
            rng = rng_of(split, n)
            jpegs = [jpeg(rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8), 95) for _ in range(FRAMES)]
            nothing = np.zeros((FRAMES, 2, 2), np.float32)
            marks = Landmarks(
                nothing, np.zeros((FRAMES, 20, 2), np.float32), np.ones(FRAMES, bool), np.zeros((FRAMES, 2, 3))
            )
            meta = {"corpus": "c", "speaker": f"{split}{n}"}
            clips.append(ShardClip(f"{split}{n}", meta, jpegs, rng.random((80, 4 * FRAMES), np.float32), marks))
        (folder / "shards" / split).mkdir(parents=True)
        write_shard(folder / "shards" / split / "shard-000000.tar", clips)


def train(kind: str, folder: Path) -> list[int]:
    """One training in `folder`; returns the steps that were logged."""
    logged: list[int] = []
    where = {
        "shards": folder / "shards",
        "out": folder / kind,
        "state": folder / "state" / kind,
        "runtime": dataclasses.replace(PARAMS.runtime, device="cpu", threads=1),
        "loggers": Loggers(lambda step, _: logged.append(step), lambda *_: None),
    }
    if kind == "syncnet":
        config = dataclasses.replace(PARAMS.syncnet, optimiser=OPTIMISER)
        train_method("syncnet", config, PARAMS.inputs, syncnet=None, offsets=None, **where)  # type: ignore[arg-type]
    else:
        config = dataclasses.replace(PARAMS.train, optimiser=OPTIMISER)
        expert = folder / "syncnet" / "model.pt"
        train_method("avcat", config, PARAMS.inputs, syncnet=expert, offsets=None, **where)  # type: ignore[arg-type]
    return logged


def test_two_processes_leave_what_one_leaves(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_clips(one)
    write_clips(two)
    for kind in ("syncnet", "avcat"):
        assert train(kind, one) == [1, 2]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, kind, str(two)], capture_output=True, text=True, env=environment, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.split()) == ["0:2", "1:0"], "the first process alone logs"
        assert sorted(p.name for p in (two / kind).iterdir()) == ["curves.csv", "metrics.json", "model.pt"]
        alone, together = (json.loads((folder / kind / "metrics.json").read_text()) for folder in (one, two))
        assert together == pytest.approx(alone, rel=0.05, abs=0.02)
        assert read_facts(two / kind / "model.pt").facts["steps"] == 2
    assert not any((two / "state").iterdir())


if __name__ == "__main__":  # what torchrun starts
    line = f"{os.environ['RANK']}:{len(train(sys.argv[1], Path(sys.argv[2])))}\n"
    os.write(1, line.encode())  # at once: the other process writes to the same pipe
