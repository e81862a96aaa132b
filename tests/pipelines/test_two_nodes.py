"""Preprocessing on two Ray nodes that share no disk but an S3 server; one node is killed half-way; the same bytes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import plane
import pytest

from avcat.files import located
from pipelines.cluster import Head, start_head, stop_head

BUCKET = "s3://avcat-test"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server, which everything started from here on uses."""
    port = free_port()
    log = (tmp_path / "s3.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.1)
    located(BUCKET).fs.mkdir("avcat-test")  # type: ignore[attr-defined]
    yield address
    server.kill()
    server.wait()
    log.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    return plane.render_words(folder, 12, seed=3)


def upload(root: Path) -> str:
    remote = f"{BUCKET}/corpus"
    for path in root.rglob("*.mp4"):
        target = located(f"{remote}/{path.relative_to(root).as_posix()}")
        target.fs.put_file(str(path), target.path)  # type: ignore[attr-defined]
    return remote


def join(head: Head, log: Path) -> subprocess.Popen[bytes]:
    """A second node in a process group of its own, once it is part of the cluster."""
    words = ["start", f"--address={head.address}", "--block", "--num-cpus=1", "--disable-usage-stats"]
    with log.open("wb") as out:
        node = subprocess.Popen(
            [sys.executable, "-c", "from ray.scripts.scripts import main; main()", *words],
            env={**os.environ, **head.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
        )
    deadline = time.monotonic() + 60
    while "Ray runtime started" not in log.read_text(errors="replace"):
        assert node.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return node


def kill(node: subprocess.Popen[bytes]) -> None:
    """The whole node, as if its plug were pulled."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_is_lost_and_the_bytes_are_the_same(
    tmp_path: Path, s3: str, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = upload(corpus)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = [sys.executable, str(Path(plane.__file__))]
    alone = tmp_path / "alone"
    subprocess.run([*program, remote, str(alone)], env=environment, check=True, timeout=120)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])  # of the nodes' workers
    head = start_head(num_cpus=1)
    node = None
    try:
        node = join(head, tmp_path / "node.log")
        work = subprocess.Popen(
            [*program, remote, f"{BUCKET}/run"], env={**environment, **head.environment}, cwd=tmp_path
        )
        state = located(f"{BUCKET}/run/state/tracks")
        deadline = time.monotonic() + 180
        while not list(state.glob("*.done")):
            state.fs.invalidate_cache()  # type: ignore[attr-defined]
            assert work.poll() is None, "ended before a node could be lost"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        kill(node)
        assert work.wait(180) == 0
    finally:
        if node is not None:
            kill(node)
        stop_head(head)
    here = tmp_path / "fetched"
    run = located(f"{BUCKET}/run")
    run.fs.invalidate_cache()  # type: ignore[attr-defined]
    run.fs.get(run.path, str(here), recursive=True)  # type: ignore[attr-defined]
    assert plane.hashes(here) == plane.hashes(alone)
    assert plane.hashes(alone)
