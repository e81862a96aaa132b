"""Threads give way to other programs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from avcat.training import threads
from avcat.training.threads import Threads, threads_beside, used_by_others


@pytest.mark.parametrize(
    ("others", "cores", "most", "expected"),
    [
        (0.0, 2, 2, 2),
        (0.2, 2, 2, 2),  # what an idle desktop uses
        (0.3, 2, 2, 1),
        (1.0, 2, 2, 1),
        (2.0, 2, 2, 1),  # never none
        (1.0, 8, 8, 7),
        (1.0, 8, 4, 4),  # a share that is free anyway
        (6.5, 8, 4, 1),
    ],
)
def test_threads_beside(others: float, cores: int, most: int, expected: int) -> None:
    assert threads_beside(others, cores, most) == expected


@pytest.fixture
def number_kept() -> object:
    number = torch.get_num_threads()
    yield
    torch.set_num_threads(number)


def test_a_fixed_number_stays(number_kept: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PERIOD_S", 0.0)
    monkeypatch.setattr(threads, "_busy_s", lambda cores: 1e9 * time.monotonic())
    kept = Threads(2)
    kept.adapt()
    assert torch.get_num_threads() == kept.most == 2


def test_a_busy_program_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        beside = used_by_others(1.0)
        busy.kill()
    assert beside > 0.5, "of a core, which our own sleep left free"


def test_threads_are_given_up_and_taken_back(number_kept: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PERIOD_S", 0.0)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1})
    seen = iter([(0.0, 0.0, 0.0), (1.0, 1.0, 0.1), (2.0, 3.0, 1.1), (3.0, 4.0, 2.1)])  # clock, all programs, ours
    monkeypatch.setattr(threads, "_used", lambda _: next(seen))
    watching = Threads()
    assert torch.get_num_threads() == 2
    for expected in (1, 1, 2):
        watching.adapt()
        assert torch.get_num_threads() == expected


def test_our_own_work_is_no_neighbour(number_kept: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PERIOD_S", 0.0)
    used = [0.0]
    monkeypatch.setattr(threads, "_busy_s", lambda cores: used[0])
    watching = Threads()
    start = time.process_time()
    while time.process_time() - start < 0.3:
        pass
    used[0] += time.process_time() - start
    watching.adapt()
    assert torch.get_num_threads() == watching.most


def test_a_machine_that_does_not_say_what_is_used(
    number_kept: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(threads, "_STAT", tmp_path / "none")
    monkeypatch.setattr(threads, "PERIOD_S", 0.0)
    watching = Threads()
    watching.adapt()
    assert torch.get_num_threads() == watching.most
    assert used_by_others(0.01) == 0.0


@pytest.mark.parametrize(("variable", "most"), [("OMP_NUM_THREADS", 3), ("LOCAL_WORLD_SIZE", 2)])
def test_limits_from_outside(variable: str, most: int, number_kept: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4, 5})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv(variable, "3")
    assert Threads().most == most
    assert Threads(5).most == 5, "as asked for"
