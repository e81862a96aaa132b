"""Landmark distances of known displacements, and the opening's correlation of known series."""

import math

import numpy as np
import pytest

from avcat.metrics.landmarks import (
    coverage,
    lmd,
    lmd_atvg,
    lmd_centred,
    opening_amplitude_ratio,
    opening_correlation,
)


@pytest.fixture
def mouths() -> np.ndarray:
    return np.random.default_rng(0).uniform(90, 160, (6, 20, 2)).astype(np.float32)


def test_a_moved_mouth_counts_in_the_uncentred_distance_alone(mouths: np.ndarray) -> None:
    moved = mouths + np.array([3, 4], np.float32)
    np.testing.assert_allclose(lmd(mouths, moved), 5, atol=1e-5)
    np.testing.assert_allclose(lmd_centred(mouths, moved), 0, atol=1e-5)
    np.testing.assert_allclose(lmd_atvg(mouths, moved), 0, atol=1e-4)


def test_one_point_moved_by_ten_pixels(mouths: np.ndarray) -> None:
    moved = mouths.copy()
    moved[:, 7, 0] += 10
    np.testing.assert_allclose(lmd(mouths, moved), 10 / 20, atol=1e-5)
    # The centre moves by 0.5: the point is off by 9.5, the other nineteen by 0.5 each.
    np.testing.assert_allclose(lmd_atvg(mouths, moved), 9.5 + 19 * 0.5, atol=1e-4)
    np.testing.assert_allclose(lmd_centred(mouths, moved), (9.5 + 19 * 0.5) / 20, atol=1e-5)


def test_a_mouth_turned_round_is_far_off_even_centred(mouths: np.ndarray) -> None:
    centre = mouths.mean(axis=1, keepdims=True)
    assert (lmd_centred(mouths, 2 * centre - mouths) > 20).all()


def test_frames_without_a_face_are_nan_and_lower_the_coverage(mouths: np.ndarray) -> None:
    truth, drawn = mouths.copy(), mouths.copy()
    truth[1], drawn[[1, 4]] = np.nan, np.nan
    assert np.isnan(lmd(truth, drawn)).tolist() == [False, True, False, False, True, False]
    assert coverage(truth, drawn) == pytest.approx(4 / 6)


def test_correlation_of_known_series() -> None:
    time = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    truth = 0.2 + 0.1 * np.sin(time)
    assert opening_correlation(truth, 3 * truth + 1) == pytest.approx(1)
    assert opening_correlation(truth, -truth) == pytest.approx(-1)
    assert opening_correlation(truth, np.cos(time)) == pytest.approx(0, abs=1e-12)
    assert opening_correlation(truth, np.sin(time - np.pi / 3)) == pytest.approx(0.5)


def test_amplitude_ratio_of_known_series() -> None:
    truth = np.array([0.1, 0.3, 0.2, 0.4])
    assert opening_amplitude_ratio(truth, 0.05 + 1.5 * truth) == pytest.approx(1.5)
    assert opening_amplitude_ratio(truth, np.full(4, 0.2)) == 0


def test_what_is_not_counted() -> None:
    moving, still = np.array([0.1, 0.3, 0.2, 0.4]), np.full(4, 0.2)
    assert math.isnan(opening_correlation(still, moving))
    assert math.isnan(opening_amplitude_ratio(still, moving))
    assert opening_correlation(moving, still) == 0
    lost = np.array([np.nan, 0.3, np.nan, 0.4])
    assert math.isnan(opening_correlation(moving, lost))


def test_correlation_skips_frames_without_a_face() -> None:
    truth = np.array([0.1, 0.3, 0.2, 0.4, 0.0])
    drawn = np.array([0.1, np.nan, 0.2, 0.4, 0.0])
    truth_with_gap = truth.copy()
    truth_with_gap[4] = np.nan
    assert opening_correlation(truth_with_gap, drawn) == pytest.approx(1)
