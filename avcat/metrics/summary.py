"""From figures of clips to the figure of a corpus: mean, N, coverage and a bootstrap interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcat.seeding import rng_of

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """One figure of a table. `mean`, `low` and `high` are NaN if nothing was counted, `inf` if every clip is."""

    mean: float
    low: float  # the 95 % bootstrap interval
    high: float
    n: int  # clips counted
    coverage: float  # clips counted / clips


def summarise(values: Sequence[float], groups: Sequence[str], samples: int, seed: int) -> Summary:
    """Mean of `values` (one per clip; NaN: not counted) with the percentile bootstrap's interval.

    Whole `groups` (the speakers) are drawn with replacement, `samples` times: clips of one person are alike, and
    drawing single clips makes the interval too narrow. The interval depends on `seed` and on the values, not on the
    order of the clips.
    """
    assert len(values) == len(groups), "one group per value"
    table = np.asarray(values, dtype=np.float64)
    counted = ~np.isnan(table)
    n = int(counted.sum())
    if n == 0:
        return Summary(math.nan, math.nan, math.nan, 0, 0.0)
    if np.isinf(table[counted]).any():
        mean = float(table[counted].mean())
        return Summary(mean, mean, mean, n, n / len(table))
    low, high = _interval(table[counted], np.asarray(groups)[counted], samples, seed)
    return Summary(math.fsum(table[counted]) / n, low, high, n, n / len(table))


def _interval(values: NDArray[np.float64], groups: NDArray[np.str_], samples: int, seed: int) -> tuple[float, float]:
    names, member = np.unique(groups, return_inverse=True)
    # Sorted sums, so that the order in which clips arrive cannot change the last digit.
    totals = np.array([math.fsum(values[member == g]) for g in range(len(names))])
    counts = np.bincount(member)
    drawn = rng_of("bootstrap", seed).integers(0, len(names), size=(samples, len(names)))
    means = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
