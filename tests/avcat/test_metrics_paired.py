"""Differences between rows: planted ones are found, chance is not, and few speakers give no verdict."""

import math

import numpy as np
import pytest

from avcat.metrics.paired import adjusted, compare


def rows(speakers: int, clips: int, effect: float, seed: int = 0) -> tuple[dict, dict, dict]:
    """Two rows whose clips are hard alike (spread 10), a speaker's differences alike (spread 1), apart by `effect`."""
    rng = np.random.default_rng(seed)
    names = [f"{s}-{c}" for s in range(speakers) for c in range(clips)]
    hard = rng.normal(0, 10, len(names))
    own = np.repeat(rng.normal(effect, 1, speakers), clips)
    other = dict(zip(names, hard.tolist(), strict=True))
    return dict(zip(names, (hard + own).tolist(), strict=True)), other, {name: name.split("-")[0] for name in names}


def test_by_hand() -> None:
    """Six speakers, one clip each, all one higher: of 64 ways to draw signs two are as far from zero."""
    other = {f"c{i}": float(i) for i in range(6)}
    difference = compare({k: v + 1 for k, v in other.items()}, other, {k: k for k in other})
    assert (difference.mean, difference.low, difference.high) == (1, 1, 1)
    assert (difference.n, difference.speakers) == (6, 6)
    assert difference.p == pytest.approx(2 / 64)


def test_a_small_difference_is_found_below_large_spread() -> None:
    difference = compare(*rows(24, 4, effect=1.0))
    assert difference.low < 1.0 < difference.high
    assert difference.p < 0.01


def test_nothing_is_found_where_nothing_is() -> None:
    """Under no difference p is even in 0..1, also where clips of one speaker go together."""
    ps = np.array([compare(*rows(12, 5, effect=0.0, seed=seed)).p for seed in range(60)])
    assert (ps < 0.05).mean() <= 0.12
    assert 0.35 < ps.mean() < 0.65


def test_what_cannot_be_counted_is_left_out() -> None:
    row, other, speakers = rows(8, 1, effect=0.0)
    first, second, third = list(row)[:3]
    row[first], other[second] = math.nan, math.inf
    del other[third]
    assert compare(row, other, speakers).n == 5
    assert math.isnan(compare({}, other, speakers).mean)


def test_few_speakers_say_nothing_and_equal_rows_do_not_differ() -> None:
    row, other, speakers = rows(5, 10, effect=100.0)
    assert math.isnan(compare(row, other, speakers).p)
    row, _, speakers = rows(9, 1, effect=0.0)
    same = compare(row, row, speakers)
    assert (same.mean, same.p) == (0, 1)


def test_the_same_twice_whatever_the_order() -> None:
    row, other, speakers = rows(20, 2, effect=0.3)
    backwards = {name: row[name] for name in reversed(row)}
    assert compare(row, other, speakers) == compare(backwards, other, speakers)


def test_many_questions_raise_p() -> None:
    """Benjamini and Hochberg by hand: p times 3 over its rank, not above the next one's."""
    raised = adjusted({"a": 0.01, "b": math.nan, "c": 0.04, "d": 0.03})
    assert raised["a"] == pytest.approx(0.03)
    assert raised["d"] == pytest.approx(0.04)  # 0.045, but the next is 0.04
    assert raised["c"] == pytest.approx(0.04)
    assert math.isnan(raised["b"])
