"""How many threads torch computes with: no more than there are free cores.

Threads that share an operation wait for each other at its end. If one of them shares its core with another program, all
wait for it, several hundred times per step: beside one busy program a step of two threads on two cores takes three to
four times as long as alone, and a step of one thread 1.6 to 1.8 times (docs/lab-notes.md, `benchmarks.neighbour`).
"""

import math
import os
import time
from pathlib import Path

import torch

PERIOD_S = 1.0  # between two looks at what other programs do
TOLERATED = 0.25  # cores that others may use before a thread is given up for them
_STAT = Path("/proc/stat")
_BUSY = (0, 1, 2, 5, 6)  # its columns user, nice, system, irq, softirq


class Threads:
    """Sets torch's number of threads, and with `adapt` keeps it at what other programs leave free."""

    def __init__(self, wanted: int = 0) -> None:
        """`wanted`: this many at all times; 0: as many as there are free cores, OMP_NUM_THREADS at most if it is set.

        Each of several processes that torchrun started on this machine has an equal share of the cores at all times:
        they would take each other for other programs.
        """
        self._cores = os.sched_getaffinity(0)
        beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        share = max(1, len(self._cores) // beside)
        if beside == 1:  # torchrun sets the variable itself
            share = min(share, int(os.environ.get("OMP_NUM_THREADS") or share))
        self.most = wanted or share
        self._fixed = wanted > 0 or self.most == 1 or beside > 1
        self._last = _used(self._cores)
        torch.set_num_threads(self.most)

    def adapt(self) -> None:
        """Updates the number if PERIOD_S have passed. The result of training changes by rounding only."""
        if self._fixed or time.monotonic() - self._last[0] < PERIOD_S:
            return
        before, self._last = self._last, _used(self._cores)
        self.give_way(_others(before, self._last))

    def give_way(self, others: float) -> None:
        """Sets the number to what is left beside other programs that use `others` cores, unless it is fixed."""
        if not self._fixed:
            torch.set_num_threads(threads_beside(others, len(self._cores), self.most))


def used_by_others(seconds: float) -> float:
    """The cores that other programs use, of those that this process may use, seen for some seconds."""
    cores = os.sched_getaffinity(0)
    before = _used(cores)
    time.sleep(seconds)
    return _others(before, _used(cores))


def threads_beside(others: float, cores: int, most: int) -> int:
    """Threads for a process that may have `most` of `cores` cores, of which other programs use `others`."""
    return min(most, max(1, math.floor(cores - others + TOLERATED)))


def _others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    passed, all_programs, own = (now - then for now, then in zip(after, before, strict=True))
    return max(0.0, (all_programs - own) / passed)


def _used(cores: set[int]) -> tuple[float, float, float]:
    """Seconds: of the clock, of these cores used by all programs, used by this process."""
    return time.monotonic(), _busy_s(cores), time.process_time()


def _busy_s(cores: set[int]) -> float:
    """Seconds that all programs have used these cores since the machine started; 0 if the system does not say."""
    names = {f"cpu{core}" for core in cores}
    try:
        rows = [line.split() for line in _STAT.read_text().splitlines()]
    except OSError:
        return 0.0
    ticks = sum(int(row[1 + column]) for row in rows if row and row[0] in names for column in _BUSY)
    return ticks / os.sysconf("SC_CLK_TCK")
