"""The Ray instance that a stage works on: an existing one, or one of its own.

`stages.reproduce` starts one head for all stages (`start_head`) and hands them its address in the environment; a stage
run alone starts a local one (`connect`). Both are private: loopback, own port, own folder, token authentication
with a fresh token, and ended by process id (`ray stop` would end every Ray of the machine).
"""

import contextlib
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray

from pipelines.settings import RuntimeConfig

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 15
LONGEST_FOLDER = 30  # Ray puts sockets below it, and a socket's path may have 107 characters


@dataclass(frozen=True)
class Head:
    """A Ray instance that we started."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it and to authenticate."""
        return {"RAY_ADDRESS": self.address, **_token_environment(self.folder)}


@contextlib.contextmanager
def connect(runtime: RuntimeConfig) -> Iterator[None]:
    """Joins the Ray instance that RAY_ADDRESS names, or starts a local one that ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its notes go to our stderr; exceptions still come through
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _silent_stderr():  # Ray announces that it will be silent; errors are exceptions
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the user's home
            ray.init("local", num_cpus=runtime.num_cpus or cpu_count(), include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Hides all that this process, its C++ part included, writes to stderr."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def cpu_count() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def start_head(num_cpus: int = 0) -> Head:
    """Starts a Ray head without a dashboard on `num_cpus` CPUs (0: all) and waits until it answers."""
    folder = _short_folder()
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "token").chmod(0o600)
    address = f"{LOOPBACK}:{_free_port()}"
    words = ["start", "--head", "--block", f"--node-ip-address={LOOPBACK}", f"--port={address.split(':')[1]}"]
    words += [f"--temp-dir={folder}", "--include-dashboard=false"]
    words += ["--disable-usage-stats", f"--num-cpus={num_cpus or cpu_count()}"]
    environment = {**os.environ, **_token_environment(folder)}
    environment.pop("RAY_ADDRESS", None)
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from ray.scripts.scripts import main; main()", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us, not Ray: we end it when the stages are done with it
        )
    head = Head(address, folder, process)
    try:
        _wait_until_up(head)
    except BaseException:
        stop_head(head)
        raise
    return head


def stop_head(head: Head) -> None:
    """Ends the instance with all its processes and removes its folder."""
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):  # it has already ended
        family = psutil.Process(head.process.pid).children(recursive=True)
    head.process.terminate()  # `ray start --block` passes it on
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.process.wait(STOP_TIMEOUT_S)
    head.process.kill()
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    head.process.wait()
    shutil.rmtree(head.folder, ignore_errors=True)


def _wait_until_up(head: Head) -> None:
    host, port = head.address.split(":")
    deadline = time.monotonic() + START_TIMEOUT_S
    log = head.folder / "head.log"
    while "Ray runtime started" not in log.read_text(errors="replace"):
        if head.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start at {host}:{port}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _token_environment(folder: Path) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "RAY_USAGE_STATS_ENABLED": "0"}


def _short_folder() -> Path:
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="avcat-", dir=base if len(base) < LONGEST_FOLDER else "/tmp"))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])
