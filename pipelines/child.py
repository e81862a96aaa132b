"""One worker in a process of its own, so that a crash or a hang in a codec ends that process and nothing else."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from pipelines.outcome import Failed, failed
from pipelines.resources import use_one_thread

START_LIMIT_S = 300.0  # to import what the worker needs and to build it, on a machine that is busy
CHECK_S = 1.0  # seconds between a child's checks that its parent is alive


_cpu_s = 0.0  # CPU time of all children of this process


def cpu_s() -> float:
    """CPU seconds of this process, and of the children of `Child` for their items."""
    return time.process_time() + _cpu_s


class Child:
    """A worker, `factory(**settings)`, in a process that is started when first needed and after each loss.

    Items, settings and results are pickled. One item at a time; not to be shared between threads.
    """

    def __init__(self, factory: Callable[..., Callable[[Any], Any]], settings: Mapping[str, Any]) -> None:
        from ray import cloudpickle  # only here: a child with an importable worker needs no Ray

        self._recipe = cloudpickle.dumps((factory, dict(settings)))
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def __call__(self, item: Any, limit_s: float) -> Any:
        """The worker's result, or `Failed` if it raised, died, or had no result after `limit_s` seconds.

        RuntimeError if the worker cannot even be built.
        """
        connection = self._connection or self._start()
        try:
            connection.send_bytes(pickle.dumps(item))
            if connection.poll(limit_s):
                result, spent_s = pickle.loads(connection.recv_bytes())
                global _cpu_s
                _cpu_s += spent_s
                return result
        except (EOFError, OSError):
            return Failed(f"its process died ({self._end()})")
        self._end()
        return Failed(f"not done after {limit_s:g} s")

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._end()

    def __del__(self) -> None:
        self.close()

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.child", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = ours
        try:
            ours.send_bytes(self._recipe)
            answer = pickle.loads(ours.recv_bytes()) if ours.poll(START_LIMIT_S) else Failed("it does not answer")
        except (EOFError, OSError):
            answer = Failed(self._end())
        if isinstance(answer, Failed):
            self.close()
            raise RuntimeError(f"a worker cannot be started: {answer.reason}")
        return ours

    def _end(self) -> str:
        """Kills what is left of the process; returns how it ended."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._connection is not None:
                self._connection.close()  # an idle child ends by itself, with its files in order
                self._process.wait(0.1)
        self._process.kill()
        code = self._process.wait()
        self._process = self._connection = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def main() -> None:
    """The child's side: builds the worker, then answers each item until there are no more."""
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    use_one_thread()
    connection = Connection(int(sys.argv[1]))
    with contextlib.suppress(EOFError):
        factory, settings = pickle.loads(connection.recv_bytes())
        try:
            work = factory(**settings)
        except Exception as error:
            connection.send_bytes(pickle.dumps(failed(error)))
            return
        connection.send_bytes(pickle.dumps(None))
        while True:
            data = connection.recv_bytes()
            before = time.process_time()
            try:
                result = work(pickle.loads(data))
            except Exception as error:
                result = failed(error)
            connection.send_bytes(pickle.dumps((result, time.process_time() - before)))


def _end_with(parent: int) -> None:
    """Ends this process once the parent is gone, also in the middle of a hang."""
    while os.getppid() == parent:
        time.sleep(CHECK_S)
    os._exit(1)


if __name__ == "__main__":
    main()
