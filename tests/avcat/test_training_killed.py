"""A training that is killed, or asked to end, resumes when called again, with an uninterrupted run's result."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_training import make_store, make_task

from avcat.training.loop import SPEED, Loggers, checkpoints, run

KIND = "avcat"


def train(folder: Path, pause_s: float) -> None:
    """Trains in `folder/state`; adds each step's figures to `folder/rows.jsonl` and leaves the weights at the end."""
    task = make_task(KIND, make_store(folder.parent / "shards"))
    with (folder / "rows.jsonl").open("a") as rows:

        def scalars(step: int, figures: dict[str, float]) -> None:
            rows.write(json.dumps([step, figures]) + "\n")
            rows.flush()
            time.sleep(pause_s)

        run(task, task.config.optimiser, folder / "state", Loggers(scalars, lambda *_: None), fingerprint="x")
    torch.save(task.averaged.state_dict(), folder / "weights.pt")


def start(folder: Path, pause_s: float) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, str(folder), str(pause_s)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def rows(folder: Path) -> list[tuple[int, dict[str, float]]]:
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    return [(step, {name: value for name, value in figures.items() if name not in SPEED}) for step, figures in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("killed")
    make_store(folder / "shards")
    assert start(folder / "whole", 0).wait(120) == 0
    return folder / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_losses_and_weights_are_those_of_an_undisturbed_run(whole: Path, number: signal.Signals) -> None:
    folder = whole.with_name(number.name)
    process = start(folder, 0.3)
    deadline = time.monotonic() + 100
    while not checkpoints(folder / "state"):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.4)  # a step later than what was kept
    process.send_signal(number)
    assert process.wait(30) == -number
    before = rows(folder)
    assert 2 <= before[-1][0] < 6
    assert not (folder / "weights.pt").exists()
    assert start(folder, 0).wait(120) == 0
    after = rows(folder)[len(before) :]
    assert after[0][0] > 1, "it went on"
    assert after[-1][0] == 6
    known = dict(rows(whole))
    for step, figures in before + after:
        assert figures == known[step], step
    weights = [torch.load(path / "weights.pt") for path in (whole, folder)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert (folder / "state" / "curves.csv").read_text() == (whole / "state" / "curves.csv").read_text()


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), float(sys.argv[2]))
