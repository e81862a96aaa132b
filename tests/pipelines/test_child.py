"""A worker's process can crash or hang; the caller gets a reason, and the next item a new process."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.child import Child
from pipelines.outcome import Failed, Rejected

LIMIT_S = 30.0


class Worker:
    """Does what it is asked to; returns its process id."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, item: object) -> object:
        match item:
            case "crash":
                ctypes.string_at(0)  # what a faulty codec does
            case "leave":
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "print":
                print("on stdout")
            case "refuse":
                raise Rejected("not wanted")
            case "fail":
                raise ValueError("first line\nsecond line")
            case int(number):
                return self.factor * number
        return os.getpid()


def broken() -> Callable[[object], object]:
    raise RuntimeError("no weights here")


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(Worker, {"factor": 3})
    yield child
    child.close()


def test_results_come_back_from_one_process(child: Child) -> None:
    assert [child(number, LIMIT_S) for number in range(3)] == [0, 3, 6]
    assert child("who", LIMIT_S) == child("print", LIMIT_S) != os.getpid()


def test_exceptions_are_results(child: Child) -> None:
    assert child("refuse", LIMIT_S) == Failed("not wanted", rejected=True)
    assert child("fail", LIMIT_S) == Failed("ValueError: first line")


@pytest.mark.parametrize(("item", "how"), [("crash", "SIGSEGV"), ("leave", "exit code 3")])
def test_a_crash_is_a_result_and_the_next_item_is_done(child: Child, item: str, how: str) -> None:
    assert child(item, LIMIT_S) == Failed(f"its process died ({how})")
    assert child(2, LIMIT_S) == 6


def test_a_hang_is_ended(child: Child) -> None:
    first = child("who", LIMIT_S)
    assert isinstance(first, int)
    assert child("hang", 0.5) == Failed("not done after 0.5 s")
    assert not Path(f"/proc/{first}").exists()
    assert child(2, LIMIT_S) == 6


def test_a_worker_that_cannot_be_built_is_told() -> None:
    with pytest.raises(RuntimeError, match="no weights here"):
        Child(broken, {})(1, LIMIT_S)


def test_a_class_that_cannot_be_imported_travels_by_value() -> None:
    class Local:
        def __call__(self, item: int) -> int:
            return item + 1

    child = Child(Local, {})
    assert child(1, LIMIT_S) == 2
    child.close()


def test_a_child_in_a_hang_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, threading, time\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from pipelines.child import Child\n"
        "from test_child import Worker\n"
        "child = Child(Worker, {'factor': 1})\n"
        "print(child('who', 30), flush=True)\n"
        "child('hang', 600)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        hanging = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{hanging}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{hanging}").exists()
