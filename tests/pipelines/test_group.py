"""Training functions that run on one or on several Ray Train workers."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avcat.config import RuntimeConfig
from avcat.errors import InputError
from avcat.training.loop import Loggers
from pipelines.group import train_together, worker_count


def learner() -> Callable[..., None]:
    """The function, made here so that it travels by value: workers cannot import a test."""

    def learn(folder: Path, trouble: str, device: str, loggers: Loggers) -> None:
        from avcat.training.ranks import average, ranks

        rank = ranks().rank
        once = folder / "died"
        if trouble == "input":
            raise InputError("data.corpora: nothing to learn from")
        if trouble == "dies once" and rank == 1 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / f"{rank} of {ranks().world}").write_text(f"{os.getpid()} {device}")
        figures = average({"rank": float(rank)})
        if rank == 0:
            loggers.scalars(1, figures)
            loggers.image("held_out", 1, np.full((2, 2, 3), 7, np.uint8))

    return learn


def train(folder: Path, workers: int, trouble: str = "") -> tuple[dict[int, Any], list[str]]:
    """What the caller's loggers heard."""
    figures: dict[int, Any] = {}
    images: list[str] = []
    train_together(
        learner(),
        {"folder": folder, "trouble": trouble},
        clips=4,
        state=folder,
        runtime=RuntimeConfig(num_cpus=2, workers=0, train_workers=workers, device="cpu", threads=1),
        loggers=Loggers(figures.__setitem__, lambda name, _step, image: images.append(f"{name} {image.sum()}")),
    )
    return figures, images


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    assert train(tmp_path, 1) == ({1: {"rank": 0.0}}, ["held_out 84"])
    assert (tmp_path / "0 of 1").read_text() == f"{os.getpid()} cpu"


def test_two_workers_form_a_group_and_report_to_the_caller(ray_instance: None, tmp_path: Path) -> None:
    assert train(tmp_path, 2) == ({1: {"rank": 0.5}}, ["held_out 84"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0 of 2", "1 of 2"], "Ray's own files are gone"


def test_a_worker_that_dies_is_replaced(ray_instance: None, tmp_path: Path) -> None:
    assert train(tmp_path, 2, "dies once")[0] == {1: {"rank": 0.5}}


def test_what_the_user_can_mend_is_told_as_it_is(ray_instance: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data\.corpora: nothing to learn from$"):
        train(tmp_path, 2, "input")


def test_without_a_gpu_a_machine_is_one_worker(ray_instance: None) -> None:
    runtime = RuntimeConfig(num_cpus=2, workers=0, train_workers=0, device="cpu", threads=1)
    assert worker_count(runtime, 6) == 1
