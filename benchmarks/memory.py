"""Memory of a process and all its descendants together, sampled while something runs."""

import threading
from collections.abc import Callable
from typing import Any

import psutil

SAMPLE_S = 1.0


def peak_memory(call: Callable[[], Any]) -> float:
    """Peak bytes of this process and all its descendants together, every second, shared pages counted once."""
    samples, done = [0.0], threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            used = 0.0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                try:
                    used += process.memory_full_info().pss
                except psutil.Error:
                    continue
            samples.append(used)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        call()
    finally:
        done.set()
        thread.join()
    return max(samples)
