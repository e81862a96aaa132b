"""Several processes that train together do what one does with the whole batch."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from small_training import make_store, make_task

from avcat.errors import InputError
from avcat.methods.syncnet.task import judge
from avcat.methods.wav2lip.task import Wav2LipTask
from avcat.training.loop import SPEED, Loggers, checkpoints, run
from avcat.training.ranks import Ranks, agreed, average, average_gradients, gather, ranks

WORLD = 2


def together(work: Any, *arguments: Any) -> None:
    """Runs `work(*arguments)` in two processes of one gloo group."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    mp.spawn(_joined, (port, work, arguments), WORLD)


def _joined(rank: int, port: int, work: Any, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()


def train(kind: str, folder: Path, steps_done: Path) -> None:
    """Trains, and leaves the losses and weights that this rank ended with.

    With AdamW: sums in another order differ by rounding, and Muon makes directions that hold nothing else as large as
    any other.
    """
    rows: dict[int, dict[str, float]] = {}
    task = make_task(kind, make_store(folder / "shards"), muon=False)
    if isinstance(task, Wav2LipTask):
        task.config = replace(
            task.config, sync_gate=9.0
        )  # which any mouth passes: the first rank's validation opens it
    state = folder / f"state-{ranks().world}"
    run(task, task.config.optimiser, state, Loggers(rows.__setitem__, lambda *_: None), fingerprint="")
    torch.save({"rows": rows, "weights": task.averaged.state_dict()}, steps_done / f"{ranks().world}-{ranks().rank}.pt")


@pytest.mark.parametrize("kind", ["syncnet", "avcat", "wav2lip", "pc_avs", "makeittalk"])
def test_two_workers_learn_what_one_learns(tmp_path: Path, kind: str) -> None:
    make_store(tmp_path / "shards")
    train(kind, tmp_path, tmp_path)
    together(train, kind, tmp_path, tmp_path)
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    assert first["rows"].keys() == alone["rows"].keys()
    assert not second["rows"], "the first rank alone writes"
    for step, figures in alone["rows"].items():
        for name in figures.keys() - set(SPEED):
            if name.startswith("gradient_share_"):
                continue  # the mean over ranks of shares is not the share of means
            # Sums in another order differ by rounding.
            assert first["rows"][step][name] == pytest.approx(figures[name], rel=1e-2, abs=1e-5), (step, name)
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name
    assert [p.name for p in checkpoints(tmp_path / "state-2")] == [p.name for p in checkpoints(tmp_path / "state-1")]


def check_judge(folder: Path, wanted: dict[str, float]) -> None:
    task = make_task("syncnet", make_store(folder / "shards"))
    assert judge(task.averaged, task.train, planted=True) == wanted


def test_workers_share_the_clips_that_a_syncnet_is_judged_on(tmp_path: Path) -> None:
    task = make_task("syncnet", make_store(tmp_path / "shards"))
    together(check_judge, tmp_path, judge(task.averaged, task.train, planted=True))


def test_a_syncnet_is_judged_on_a_limited_number_of_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, read = make_task("syncnet", make_store(tmp_path / "shards")), []
    monkeypatch.setattr("avcat.methods.syncnet.task.JUDGED_CLIPS", 2)
    mel = task.train.mel
    monkeypatch.setattr(task.train, "mel", lambda clip: read.append(clip) or mel(clip))
    judge(task.averaged, task.train)
    assert len(read) == 2 < len(task.train)


def check_sums(folder: Path) -> None:
    rank = ranks().rank
    weight = torch.nn.Parameter(torch.ones(3))
    unused = torch.nn.Parameter(torch.ones(1))
    (weight.sum() * (rank + 1)).backward()
    average_gradients([weight, unused])
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.5] * 3
    assert unused.grad is None
    assert average({"a": float(rank), "b": 1.0}) == {"a": 0.5, "b": 1.0}
    assert agreed("bf16") == "bf16"
    assert agreed("bf16" if rank else "fp32") == "fp32", "which nothing emulates"
    rows = torch.full((2, 1), float(rank), requires_grad=True)
    everyone = gather(rows)
    assert everyone.flatten().tolist() == [0, 0, 1, 1]
    everyone.square().sum().backward()
    assert rows.grad is not None
    assert rows.grad.flatten().tolist() == [2 * rank] * 2
    (folder / str(rank)).touch()


def test_sums_over_ranks(tmp_path: Path) -> None:
    together(check_sums, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"0", "1"}


def test_shares_are_the_batch() -> None:
    assert [i for rank in range(3) for i in Ranks(rank, 3).share(6)] == list(range(6))
    with pytest.raises(InputError, match="batch_clips: 5 clips"):
        Ranks(0, 2).share(5)


def test_alone_nothing_changes() -> None:
    rows = torch.from_numpy(np.ones((2, 2)))
    assert ranks() == Ranks(0, 1)
    assert gather(rows) is rows
    assert average({"a": 1.0}) == {"a": 1.0}
    assert agreed("bf16") == "bf16"
