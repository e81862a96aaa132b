"""Studies made by hand, and the server as a process of its own, started as a user starts it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import httpx

from avcat.study.plan import CLIPS, Clip, Study, clip_path

METHODS = ("hushed-one", "hushed-two")  # names that no page may contain
CORPORA = ("words", "wild")


def write_study(folder: Path, pairs: int = 3) -> Study:
    """`pairs` of each corpus by both methods; a clip's file holds its own name."""
    clips = [
        Clip(f"{number:016x}", method, corpus, f"{corpus}-v{pair}", f"{corpus}-s{pair}")
        for number, (method, corpus, pair) in enumerate(product(METHODS, CORPORA, range(pairs)), 0xABC0)
    ]
    study = Study(0, METHODS, tuple(clips), ())
    (folder / CLIPS).mkdir(parents=True)
    for clip in clips:
        clip_path(folder, clip.clip).write_bytes(clip.clip.encode() * 100)
    study.write(folder)
    return study


@contextmanager
def serving(folder: Path, *options: str, port: int = 0) -> Iterator[str]:
    """The address of `avcat study serve`, without the last slash. It has to end well when interrupted."""
    command = [sys.executable, "-m", "avcat.apps.cli", "study", "serve", str(folder), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            assert "rate at http://" in line, server.communicate()[1]
            yield line.split("rate at ")[1].split("/ ")[0]
        finally:
            server.send_signal(signal.SIGINT)
            _, said = server.communicate(timeout=30)
        assert (server.returncode, said) == (0, "")


@contextmanager
def rater(address: str) -> Iterator[httpx.Client]:
    """A rater who has consented."""
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.post("/api/rater", json={"consent": True}).status_code == 201
        yield client
