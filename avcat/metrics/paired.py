"""Whether two rows of a table differ beyond chance: clip by clip, so that what is hard for all methods cancels out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control, permutation_test

from avcat.metrics.summary import summarise
from avcat.seeding import rng_of

RESAMPLES = 9999  # of the permutation test, and of the bootstrap
LEVEL = 0.05  # share of false alarms among the differences called real
FEWEST_SPEAKERS = 6  # with five, no outcome is rarer than 1 in 16


@dataclass(frozen=True)
class Difference:
    """One row's figure minus the other's, mean over the clips that both count. NaN if there is none."""

    mean: float
    low: float  # the 95 % bootstrap interval over speakers
    high: float
    n: int  # clips
    speakers: int
    p: float  # of a mean at least as far from 0 if the two rows were alike; NaN: too few speakers


def compare(row: Mapping[str, float], other: Mapping[str, float], speakers: Mapping[str, str]) -> Difference:
    """Figures by clip id of two rows, and the clips' speakers -> their difference.

    The test draws the sign of each speaker's differences at random (all combinations, if there are few enough): the
    clips of one person are not independent. Clips are left out that either row does not count, or in which a figure is
    infinite.
    """
    both = row.keys() & other.keys()
    clips = sorted(clip for clip in both if math.isfinite(row[clip]) and math.isfinite(other[clip]))
    differences = np.array([row[clip] - other[clip] for clip in clips])
    whose = np.array([speakers[clip] for clip in clips])
    found = summarise(differences.tolist(), whose.tolist(), RESAMPLES, seed=0)
    totals = np.array([math.fsum(differences[whose == name]) for name in np.unique(whose)])
    return Difference(found.mean, found.low, found.high, len(clips), len(totals), _chance(totals))


def _chance(totals: np.ndarray) -> float:
    """The two-sided p of sums `[speakers]` whose signs are drawn at random."""
    if len(totals) < FEWEST_SPEAKERS:
        return math.nan
    if not totals.any():
        return 1.0
    test = permutation_test(
        (totals,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=rng_of("paired"),
    )
    return float(test.pvalue)


def adjusted(ps: Mapping[str, float]) -> dict[str, float]:
    """p values of many tests, by name, adjusted so that of those below a level no larger a share is false alarms.

    Benjamini and Hochberg 1995. NaN stays NaN and is not counted as a test.
    """
    asked = [name for name, p in ps.items() if not math.isnan(p)]
    if not asked:
        return dict(ps)
    raised = false_discovery_control([ps[name] for name in asked])
    return {**ps, **dict(zip(asked, raised.tolist(), strict=True))}
