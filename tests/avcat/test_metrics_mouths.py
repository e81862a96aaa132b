"""Detail, motion and flicker of mouths, of pictures with known answers."""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from avcat.metrics.mouths import FINE, measure, motion, mouth_boxes

SIDE, FRAMES = 128, 12
MIDDLE = np.array([64.0, 90.0])


def marks(openings: np.ndarray) -> np.ndarray:
    """float32 [T, 20, 2]: half of the points go up, half down."""
    points = np.zeros((len(openings), 20, 2), np.float32)
    points[:, :, 0] = MIDDLE[0] + np.linspace(-15, 15, 20)
    points[:, ::2, 1] = MIDDLE[1] - openings[:, None]
    points[:, 1::2, 1] = MIDDLE[1] + openings[:, None]
    return points


def textured(seed: int = 0) -> np.ndarray:
    """uint8 [T, S, S, 3]: noise that stays the same in all frames."""
    noise = np.random.default_rng(seed).normal(0, 20, (SIDE, SIDE))
    return np.repeat(np.clip(128 + noise, 0, 255).astype(np.uint8)[None, :, :, None], FRAMES, 0).repeat(3, 3)


def pair(truth: np.ndarray, drawn: np.ndarray, true: np.ndarray, of_drawn: np.ndarray | None = None) -> Any:
    true, of_drawn = marks(true), marks(true if of_drawn is None else of_drawn)
    return SimpleNamespace(
        truth=truth, drawn=drawn, truth_marks=SimpleNamespace(mouth=true), marks=SimpleNamespace(mouth=of_drawn)
    )


OPENINGS = 4 + 3 * np.sin(np.arange(FRAMES))


def test_the_truth_itself() -> None:
    clip = textured()
    assert measure(pair(clip, clip, OPENINGS)) == {"mouth_detail": 1.0, "motion": 1.0, "flicker": 0.0}


def test_a_blurred_mouth_has_less_detail_and_a_blurred_cheek_does_not() -> None:
    truth, blurred = textured(), textured()
    for t in range(FRAMES):
        blurred[t] = cv2.GaussianBlur(truth[t], (0, 0), 2.0)[..., :]
    detail = measure(pair(truth, blurred, OPENINGS))["mouth_detail"]
    frequencies = np.fft.fftfreq(SIDE)
    squares = frequencies[:, None] ** 2 + frequencies[None] ** 2

    def kept(sigma: float) -> np.ndarray:
        return np.exp(-2 * np.pi**2 * sigma**2 * squares)  # a Gaussian's response

    high = 1 - kept(FINE * SIDE)
    wanted = ((high * kept(2.0)) ** 2).sum() / (high**2).sum()  # of white noise
    assert detail == pytest.approx(wanted, abs=0.02)
    elsewhere = truth.copy()
    elsewhere[:, :60] = blurred[:, :60]
    assert measure(pair(truth, elsewhere, OPENINGS))["mouth_detail"] == 1.0


def test_motion_is_how_far_the_points_go() -> None:
    clip = textured()
    half = OPENINGS.mean() + (OPENINGS - OPENINGS.mean()) / 2
    assert measure(pair(clip, clip, OPENINGS, half))["motion"] == pytest.approx(0.5, rel=1e-4)
    assert measure(pair(clip, clip, OPENINGS, np.full(FRAMES, 4.0)))["motion"] == 0.0
    moved = marks(OPENINGS) + np.arange(FRAMES)[:, None, None].astype(np.float32)  # the head's own motion
    assert motion(marks(OPENINGS), moved) == pytest.approx(1.0, rel=1e-4)
    lost = marks(OPENINGS)
    lost[5] = np.nan
    assert motion(marks(OPENINGS), lost) == pytest.approx(1.0, rel=1e-4)
    assert np.isnan(motion(marks(OPENINGS), np.full((FRAMES, 20, 2), np.nan)))


def test_flicker_counts_where_the_truth_is_still() -> None:
    truth = textured()
    drawn = truth.astype(int)
    drawn[1::2] += 6  # every other frame is brighter
    clip = np.clip(drawn, 0, 255).astype(np.uint8)
    assert measure(pair(truth, clip, OPENINGS))["flicker"] == pytest.approx(6.0, abs=0.05)
    restless = truth.astype(int)
    restless[1::2] += 6
    restless = np.clip(restless, 0, 255).astype(np.uint8)
    assert np.isnan(measure(pair(restless, restless, OPENINGS))["flicker"]), "nothing is still"


def test_a_mouth_at_the_edge_or_not_found() -> None:
    points = marks(OPENINGS)
    points[3] = np.nan
    points[4] += 100  # outside of the picture
    boxes = mouth_boxes(points, SIDE)
    assert boxes[3] is None
    assert boxes[4] is None or boxes[4][1].stop <= SIDE
    clip = textured()
    found = pair(clip, clip, OPENINGS)
    found.truth_marks.mouth = points
    assert measure(found)["mouth_detail"] == 1.0
