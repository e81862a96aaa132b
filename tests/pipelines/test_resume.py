"""kill -9 at any moment, a full disk, two runs at once: what is done stays done, and the bytes are the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import plane
import pytest

from avcat.errors import InputError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    return plane.render_words(folder, 8, seed=3)


@pytest.fixture(scope="module")
def expected(ray_instance: None, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("expected")
    plane.preprocess(plane.data_of(corpus), out, plane.runtime())
    return plane.hashes(out)


def start(corpus: Path, out: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(Path(plane.__file__)), str(corpus), str(out)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "mark", ["state/shards/train-000001.done", pytest.param("state/tracks/train-000000.done", marks=pytest.mark.slow)]
)
def test_killed_and_run_again(corpus: Path, expected: dict[str, str], tmp_path: Path, mark: str) -> None:
    out = tmp_path / "out"
    process = start(corpus, out)
    wait_for((out / mark).exists, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.done")}
    assert made
    changes: dict[Path, int] = {}

    def watch() -> bool:
        changes.update({path: path.stat().st_mtime_ns for path in made if path.exists()})
        return (out / "shards" / "outcomes.parquet").exists()

    again = start(corpus, out)
    wait_for(watch, again)
    assert again.wait(60) == 0
    assert plane.hashes(out) == expected
    assert all(made[path] == time_ns for path, time_ns in changes.items()), "what was done was done again"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk takes the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_space(
    corpus: Path, expected: dict[str, str], small_disk: Path
) -> None:
    with pytest.raises((InputError, OSError), match="No space left on device"):
        plane.preprocess(plane.data_of(corpus), small_disk, plane.runtime())
    assert not list(small_disk.rglob("*.part*")), "half a file is left"
    assert not (small_disk / "shards").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    plane.preprocess(plane.data_of(corpus), small_disk, plane.runtime())
    assert plane.hashes(small_disk) == expected


@pytest.mark.slow
def test_two_runs_at_once_do_not_harm_each_other(corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    processes = [start(corpus, out) for _ in range(2)]
    codes = sorted(process.wait(180) for process in processes)
    assert codes[0] == 0, "one of them at least gets through"
    assert plane.hashes(out) == expected
    shutil.rmtree(out)
