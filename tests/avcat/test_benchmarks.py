"""The benchmarks' own measures, on known inputs."""

import cv2
import numpy as np
import pytest

from avcat.seeding import rng_of
from benchmarks.av_sync import Curve, lag, lags
from benchmarks.border import shaking, step


def mouth(times_s: np.ndarray) -> np.ndarray:
    """A curve that never repeats."""
    return np.asarray(np.sin(9 * times_s) + np.sin(14.3 * times_s + 1) + 0.5 * np.sin(23.1 * times_s))


@pytest.mark.parametrize("late_s", [-0.11, 0.0, 0.0133, 0.2])
@pytest.mark.parametrize("fps", [23.976, 25, 60])
def test_a_lag_is_found_finer_than_a_frame(late_s: float, fps: float) -> None:
    fine, frames = np.arange(0, 9, 0.005), (np.arange(int(9 * fps)) + 0.5) / fps
    known, measured = Curve(fine, mouth(fine)), Curve(frames, 3 * mouth(frames - late_s) + 7)
    assert lag(known, measured, 0, 9) == pytest.approx(late_s, abs=0.002)


def test_a_drift_differs_between_start_and_end() -> None:
    fine = np.arange(0, 9, 0.005)
    frames = (np.arange(225) + 0.5) / 25
    start, end = lags(Curve(fine, mouth(fine)), Curve(frames, mouth(frames * (1 - 0.01))), 9)
    assert start == pytest.approx(0.015, abs=0.005)
    assert end == pytest.approx(0.075, abs=0.005)


def test_a_step_in_colour_is_measured() -> None:
    image = np.full((100, 100, 3), 128, np.uint8)
    alpha = np.zeros((100, 100), np.float32)
    alpha[50:, 20:80] = 1
    assert step(image, alpha) == pytest.approx(0, abs=1e-3)
    image[50:, 20:80] = 140
    lightness = [cv2.cvtColor(np.full((1, 1, 3), v / 255, np.float32), cv2.COLOR_RGB2LAB)[0, 0, 0] for v in (128, 140)]
    assert step(image, alpha) == pytest.approx(lightness[1] - lightness[0], abs=0.05)
    assert np.isnan(step(image, np.zeros_like(alpha)))


def test_shaking_is_measured_and_a_smooth_way_is_none() -> None:
    random = rng_of("shaking")
    wide = cv2.GaussianBlur(random.normal(128, 60, (140, 220)).astype(np.float32), (0, 0), 2)
    smooth_way = [(3 * np.sin(t / 15), 0.2 * t) for t in range(50)]
    off = random.normal(0, 0.5, (50, 2))

    def picture(x: float, y: float) -> np.ndarray:
        return cv2.warpAffine(wide, np.array([[1, 0, -20 - x], [0, 1, -20 - y]]), (136, 75))

    def rms(pictures: list[np.ndarray]) -> float:
        return float(np.sqrt(np.square(shaking(pictures, 25)).sum(axis=1).mean()))

    assert rms([picture(x, y) for x, y in smooth_way]) < 0.1
    shaken = [picture(x + dx, y + dy) for (x, y), (dx, dy) in zip(smooth_way, off, strict=True)]
    assert rms(shaken) == pytest.approx(0.5 * 2**0.5, rel=0.25)
