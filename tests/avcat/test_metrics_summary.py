"""Means, coverage, and an interval that contains the truth about as often as stated."""

import math

import numpy as np

from avcat.metrics.summary import summarise


def names(count: int) -> list[str]:
    return [f"speaker{i:03d}" for i in range(count)]


def test_mean_n_and_coverage() -> None:
    summary = summarise([1.0, math.nan, 3.0, 5.0], names(4), 200, seed=0)
    assert (summary.mean, summary.n, summary.coverage) == (3.0, 3, 0.75)
    assert 1 <= summary.low < 3 < summary.high <= 5


def test_nothing_counted() -> None:
    summary = summarise([math.nan, math.nan], names(2), 200, seed=0)
    assert math.isnan(summary.mean)
    assert (summary.n, summary.coverage) == (0, 0)


def test_infinite_stays_infinite() -> None:
    assert summarise([math.inf] * 3, names(3), 200, seed=0).mean == math.inf


def test_one_speaker_has_no_width_and_equal_values_neither() -> None:
    one = summarise([1.0, 2.0, 6.0], ["a"] * 3, 200, seed=0)
    assert (one.low, one.high) == (3, 3)
    equal = summarise([2.0] * 5, names(5), 200, seed=0)
    assert (equal.low, equal.high) == (2, 2)


def test_interval_holds_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(3)
    intervals = [summarise(rng.exponential(2.0, 60).tolist(), names(60), 400, seed=trial) for trial in range(200)]
    assert 0.88 <= np.mean([s.low <= 2 <= s.high for s in intervals]) <= 0.99


def test_clips_of_one_speaker_are_not_independent() -> None:
    rng = np.random.default_rng(4)
    people = rng.normal(0, 1, 12)
    values, speakers = np.repeat(people, 10).tolist(), np.repeat(names(12), 10).tolist()
    together, apart = summarise(values, speakers, 1000, seed=0), summarise(values, names(120), 1000, seed=0)
    assert together.high - together.low > 2.5 * (apart.high - apart.low)  # sqrt(10) in theory


def test_the_same_in_any_order() -> None:
    rng = np.random.default_rng(5)
    values, speakers = rng.normal(size=30).tolist(), [f"s{i % 7}" for i in range(30)]
    order = rng.permutation(30)
    shuffled = summarise([values[i] for i in order], [speakers[i] for i in order], 300, seed=1)
    assert shuffled == summarise(values, speakers, 300, seed=1)
