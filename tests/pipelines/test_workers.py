"""Ray Train's workers learn what a process group without Ray learns, also where one of them is killed half-way."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from avcat.errors import InputError
from avcat.training.loop import SPEED, Loggers, checkpoints, run
from avcat.training.ranks import joined, ranks
from pipelines.workers import train_on_workers
from stages._params import load

RUNTIME = replace(load("test").runtime, num_cpus=2, device="cpu", threads=1, train_workers=2)
KILLED_AT = 4  # steps done; a checkpoint of step 4 is there, or only that of step 2
sys.path.append(str(Path(__file__).parents[1] / "avcat"))


def learn(shards: Path, *, state: Path, runtime: Any, loggers: Loggers, lethal: bool = False) -> dict[str, float]:
    """A small training; a `lethal` one kills its second worker, once. Leaves the final weights beside `state`."""
    from small_training import make_store, make_task

    torch.set_num_threads(runtime.threads)
    with joined(runtime.device) as us:
        task = make_task("avcat", make_store(shards), muon=False)
        step = task.step

        def deadly(number: int, batch: Any) -> dict[str, float]:
            scar = state.with_suffix(".killed")
            if lethal and us.rank == 1 and number == KILLED_AT and not scar.exists():
                scar.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return step(number, batch)  # type: ignore[no-any-return]

        task.step = deadly
        metrics = run(task, task.config.optimiser, state, loggers, fingerprint="")
        assert us.world == 2
        if us.leads:
            torch.save(task.averaged.state_dict(), state.with_suffix(".weights.pt"))
    return metrics


def refuse(*, state: Path, runtime: Any, loggers: Loggers) -> dict[str, float]:
    """What a training does if its batch cannot be divided."""
    if ranks().rank == 0:
        raise InputError("planted: nothing can be learnt from this")
    return {}


def alone(state: Path, shards: Path) -> None:
    """One rank of a process group that torchrun made."""
    rows: dict[int, dict[str, float]] = {}
    loggers = Loggers(rows.__setitem__, lambda *_: None)
    learn(shards, state=state, runtime=RUNTIME, loggers=loggers)
    if rows:
        state.with_suffix(".json").write_text(json.dumps(rows))


def by_ray(folder: Path, shards: Path) -> None:
    """One training that loses a worker, and one that must not be tried again."""
    state, rows = folder / "ray", {}
    images: list[str] = []
    loggers = Loggers(rows.__setitem__, lambda name, *_: images.append(name))
    metrics = train_on_workers(learn, shards, state=state, runtime=RUNTIME, loggers=loggers, lethal=True)
    assert int(state.with_suffix(".killed").read_text()) != os.getpid()
    assert images.count("held_out") >= 2
    state.with_suffix(".json").write_text(json.dumps(rows))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    for workers, said in ((2, "planted"), (5, "5 workers need a CPU each, Ray has 2")):
        runtime = replace(RUNTIME, train_workers=workers)
        with pytest.raises(InputError, match=said):
            train_on_workers(refuse, state=folder / "refused", runtime=runtime, loggers=loggers)


def call(*words: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, timeout=450, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_worker_is_replaced_and_nothing_is_different(tmp_path: Path) -> None:
    from small_training import make_store

    shards = tmp_path / "shards"
    make_store(shards)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    call(*torchrun, __file__, "alone", str(tmp_path / "whole"), str(shards))
    call(__file__, "by_ray", str(tmp_path), str(shards))
    whole, replaced = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "ray"))
    assert list(whole) == list(replaced) == [str(step) for step in range(1, 7)]
    for step, figures in whole.items():
        for name in figures.keys() - set(SPEED):
            assert replaced[step][name] == figures[name], (step, name)
    weights = [torch.load(tmp_path / f"{name}.weights.pt") for name in ("whole", "ray")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    last = {f"val_{name}": value for name, value in json.loads((tmp_path / "metrics.json").read_text()).items()}
    assert last == {name: value for name, value in whole["6"].items() if name.startswith("val_")}
    assert [path.name for path in checkpoints(tmp_path / "ray")] == ["step-00000004.pt", "step-00000006.pt"]
    assert not (tmp_path / "ray.ray").exists(), "Ray Train's own notes are gone"


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    def here(word: str, *, state: Path, runtime: Any, loggers: Loggers) -> dict[str, float]:
        loggers.scalars(1, {"pid": os.getpid()})
        return {"length": len(word)}

    rows: dict[int, dict[str, float]] = {}
    runtime = replace(RUNTIME, train_workers=1)
    loggers = Loggers(rows.__setitem__, lambda *_: None)
    assert train_on_workers(here, "four", state=tmp_path, runtime=runtime, loggers=loggers) == {"length": 4}
    assert rows == {1: {"pid": os.getpid()}}
    with pytest.raises(InputError, match="0 workers cannot train"):
        train_on_workers(here, "four", state=tmp_path, runtime=replace(RUNTIME, train_workers=0), loggers=loggers)


if __name__ == "__main__":
    import test_workers  # by its name, so that Ray's workers can import what we hand them

    getattr(test_workers, sys.argv[1])(Path(sys.argv[2]), Path(sys.argv[3]))
