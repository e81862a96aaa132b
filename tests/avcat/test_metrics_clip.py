"""One clip's figures, with a detector that reads the mouth off the picture, so that every answer is known."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from painter import Painter

from avcat.data.schema import MOUTH_POINTS
from avcat.face.landmarks import Face
from avcat.media.mel import mel_windows
from avcat.metrics.clip import ClipScorer, strip_frames
from avcat.metrics.drawers import CopyReference, Drawer, GroundTruth, Trained, build_drawer
from avcat.metrics.figures import FIGURES
from avcat.metrics.marks import Marker
from avcat.metrics.pair import EvaluateConfig, Judges

SIZE, FRAMES = 64, 14
CONFIG = EvaluateConfig(
    clips_per_corpus=0,
    batch_frames=8,
    sync_max_shift=3,
    bootstrap_samples=10,
    seed=0,
    lpips_weights=None,
    syncnet=None,
)
GAPS = np.array([0, 2, 6, 3, 8, 12, 4, 2, 9, 10, 5, 3, 7, 1])


def talking(gaps: np.ndarray) -> np.ndarray:
    """Grey pictures whose pixel (50, 30) in the redrawn region holds the gap of the lips in pixels."""
    clip = np.full((len(gaps), SIZE, SIZE, 3), 90, np.uint8)
    clip[:, 50, 30] = gaps[:, None]
    return clip


class ReadingDetector:
    """Finds eyes 20 px apart and lips as far apart as the picture encodes; no face if that is 255."""

    clips = 0

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        self.clips += 1
        return map(self.read, images)

    def read(self, image: np.ndarray) -> list[Face]:
        gap = float(image[50, 30, 0])
        if gap == 255:
            return []
        mouth = np.tile(np.array([32, 40], np.float32), (MOUTH_POINTS, 1))
        mouth[66 - 48, 1] += gap
        eyes = np.array([[22, 20], [42, 20]], np.float32)
        return [Face(np.zeros(4, np.float32), 1.0, eyes, mouth)]


class Drawn:
    """A method that draws what the test sets, for any input."""

    def __init__(self, gaps: np.ndarray) -> None:
        self.gaps = gaps

    def draw(self, crops: np.ndarray, mel: np.ndarray) -> np.ndarray:
        return talking(self.gaps)

    def ceiling(self, crops: np.ndarray) -> np.ndarray:
        return crops


def score(method: Drawer, truth: np.ndarray = GAPS) -> dict[str, float]:
    mel = np.zeros((80, 4 * len(truth)), np.float32)
    crops = talking(truth)
    scorer = ClipScorer(Marker(ReadingDetector()), Judges(), CONFIG)
    figures, _ = scorer(crops, method.draw(crops, mel), method.ceiling(crops), mel)
    assert set(FIGURES) <= set(figures)
    return figures


def test_ground_truth_is_perfect() -> None:
    figures = score(GroundTruth())
    expected = {"ssim": 1, "psnr": math.inf, "psnr_uint8_legacy": 100, "lmd": 0, "found": 1, "equal_frames": 13}
    assert {name: figures[name] for name in expected} == expected
    assert figures["opening_correlation"] == pytest.approx(1)
    assert figures["opening_amplitude_ratio"] == pytest.approx(1)
    assert math.isnan(figures["sync_confidence"])  # no evaluator was given


def test_half_the_opening_is_correlated_and_too_small() -> None:
    figures = score(Drawn(GAPS // 2))
    assert figures["opening_correlation"] > 0.99
    assert figures["opening_amplitude_ratio"] == pytest.approx(0.5, abs=0.05)
    # One of twenty points is off by the missing half of the gap.
    assert figures["lmd"] == pytest.approx(np.abs(GAPS - GAPS // 2)[1:].mean() / 20)


def test_the_copied_reference_keeps_its_mouth() -> None:
    figures = score(CopyReference())
    assert figures["opening_correlation"] == 0
    assert figures["opening_amplitude_ratio"] == 0
    assert figures["opening_ceiling"] == pytest.approx(1)
    assert figures["lmd"] == pytest.approx(GAPS[1:].mean() / 20)
    np.testing.assert_allclose(figures["opening"], 0)
    np.testing.assert_allclose(figures["opening_truth"], GAPS / 20)


def test_copied_reference_leaves_the_rest_of_the_picture_alone() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    drawn = CopyReference().draw(crops, np.zeros((80, 16), np.float32))
    np.testing.assert_array_equal(drawn[:, : SIZE // 2], crops[:, : SIZE // 2])
    np.testing.assert_array_equal(drawn[:, SIZE // 2 :, SIZE // 16 : -SIZE // 16][1], drawn[0, 32:, 4:60])
    np.testing.assert_array_equal(drawn[:, :, : SIZE // 16], crops[:, :, : SIZE // 16])


def test_frames_whose_face_is_lost_are_not_scored() -> None:
    lost = GAPS.copy()
    lost[[3, 7]] = 255
    figures = score(Drawn(lost))
    assert figures["found"] == pytest.approx(11 / 13)
    assert figures["opening_correlation"] == pytest.approx(1)
    assert figures["lmd"] == 0


def test_the_reference_frame_is_not_scored() -> None:
    other = GAPS.copy()
    other[0] = 200
    assert score(Drawn(other))["lmd"] == 0


def test_each_pass_is_a_clip_of_its_own() -> None:
    detector, crops, mel = ReadingDetector(), talking(GAPS), np.zeros((80, 4 * FRAMES), np.float32)
    ClipScorer(Marker(detector), Judges(), CONFIG)(crops, CopyReference().draw(crops, mel), crops, mel)
    assert detector.clips == 2  # truth and copy; the ceiling is the truth itself


def test_what_was_seen_in_true_frames_is_kept_for_the_next_method(tmp_path: Path) -> None:
    crops, small, mel = talking(GAPS), talking(GAPS // 2), np.zeros((80, 4 * FRAMES), np.float32)
    drawn = CopyReference().draw(crops, mel)
    first, second = ReadingDetector(), ReadingDetector()
    figures, _ = ClipScorer(Marker(first, tmp_path / "marks"), Judges(), CONFIG)(crops, drawn, small, mel)
    again, _ = ClipScorer(Marker(second, tmp_path / "marks"), Judges(), CONFIG)(crops, drawn, small, mel)
    assert (first.clips, second.clips) == (3, 1)  # truth, drawing, ceiling; then only the drawing
    np.testing.assert_equal(again, figures)
    assert len(list((tmp_path / "marks").iterdir())) == 2


def test_other_pictures_are_not_taken_for_those_that_were_seen(tmp_path: Path) -> None:
    marker, other = Marker(ReadingDetector(), tmp_path), talking(GAPS)
    other[3, 50, 30] += 1
    before, after = marker.recall(talking(GAPS)).opening, marker.recall(other).opening
    assert np.flatnonzero(before != after).tolist() == [3]


def test_strip_shows_the_widest_mouth_of_each_sixth() -> None:
    # Scored frames 1..13 in sixths: 1-3, 4-5, 6-7, 8-9, 10-11, 12-13.
    assert strip_frames(GAPS / 20) == [2, 5, 6, 9, 10, 12]
    assert strip_frames(np.full(14, np.nan)) == [2, 5, 7, 9, 11, 13]


def test_unknown_methods_need_a_model() -> None:
    with pytest.raises(ValueError, match="rn-only: this method needs a trained model"):
        build_drawer("rn-only", None, 8, "cpu")


def test_a_trained_method_gets_frame_0_as_reference_and_each_frame_its_own_sound() -> None:
    painter, rng = Painter(SIZE, batch_frames=FRAMES), np.random.default_rng(0)
    crops, mel = talking(GAPS), rng.random((80, 4 * FRAMES), np.float32)
    drawn = Trained(painter).draw(crops, mel)  # type: ignore[arg-type]
    assert len(painter.references) == 1
    np.testing.assert_array_equal(painter.references[0], crops[0])
    np.testing.assert_array_equal(np.stack(painter.crops), crops)
    np.testing.assert_array_equal(np.stack(painter.windows), mel_windows(mel, np.arange(FRAMES)))
    np.testing.assert_array_equal(painter.windows[6], mel[:, 4 * 4 : 4 * 9])  # frames 4 .. 8 around frame 6
    assert not np.array_equal(drawn, crops)
