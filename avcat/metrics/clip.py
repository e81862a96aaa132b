"""All figures of one clip: what a method shows against the truth, on composited 256 px crops before any H.264.

The reference frame is not scored for pictures and landmarks: every method was given it. Synchrony takes all frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcat.config import EvaluateConfig
from avcat.data.schema import MOUTH_POINTS, WINDOW_FRAMES
from avcat.face.landmarks import FaceDetector
from avcat.face.opening import mouth_opening
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.metrics import image, landmarks
from avcat.metrics.embed import embed_clip
from avcat.metrics.methods import REFERENCE_FRAME, Crops, Method
from avcat.metrics.sync import sync_scores
from avcat.models.syncnet import SyncNet

FIRST_SCORED = REFERENCE_FRAME + 1
STRIP_FRAMES = 6

# Every figure of a clip, in the order of the tables.
FIGURES = (
    "ssim",
    "psnr",
    "psnr_uint8_legacy",
    "lmd",
    "lmd_centred",
    "lmd_atvg",
    "opening_correlation",
    "opening_ceiling",
    "opening_amplitude_ratio",
    "sync_confidence",
    "sync_distance",
    "sync_offset",
    "sync_offset_within_1",
    "sync_windows",
    "found",
    "equal_frames",
)


@dataclass(frozen=True)
class Marks:
    """Landmarks of T frames; NaN where no face was found."""

    mouth: NDArray[np.float32]  # [T, 20, 2] px
    opening: NDArray[np.float64]  # [T], inner-lip gap / distance of the eyes


class ClipScorer:
    """Scores clips one after the other. `judge` is the evaluator SyncNet; without one its figures are NaN."""

    def __init__(self, method: Method, detector: FaceDetector, judge: SyncNet | None, config: EvaluateConfig) -> None:
        self.method, self.detector, self.judge, self.config = method, detector, judge, config

    def __call__(self, crops: Crops, mel: NDArray[np.float32]) -> tuple[dict[str, Any], Crops]:
        """True crops `uint8 [T, S, S, 3]` and the mel `float32 [80, 4 T]` -> the figures, and a strip of pictures.

        Figures are floats, NaN where nothing could be measured. `opening_truth` and `opening` are the T openings,
        `sync_distances` those of `SyncScore`, empty without a judge.
        The strip `[6, S, S, 3]` shows the frames in which the true mouth is most open, one from each sixth of the
        clip: the same frames for every method.
        """
        assert mel.shape[1] == COLUMNS_PER_FRAME * len(crops), f"{mel.shape} for {len(crops)} frames"
        drawn = self.method.draw(crops, mel)
        truth_marks = self._marks(crops)
        marks = self._marks_unless_equal(drawn, crops, truth_marks)
        ceiling = self._marks_unless_equal(self.method.ceiling(crops), crops, truth_marks)
        figures = {
            **_picture_figures(crops[FIRST_SCORED:], drawn[FIRST_SCORED:]),
            **_landmark_figures(truth_marks, marks, ceiling),
            **self._sync_figures(drawn, mel),
            "opening_truth": truth_marks.opening,
            "opening": marks.opening,
        }
        return figures, drawn[strip_frames(truth_marks.opening)]

    def _marks_unless_equal(self, crops: Crops, truth: Crops, marks: Marks) -> Marks:
        """The truth's landmarks for equal pictures: the same, and a pass of the detector saved."""
        return marks if np.array_equal(crops, truth) else self._marks(crops)

    def _marks(self, crops: Crops) -> Marks:
        mouth = np.full((len(crops), MOUTH_POINTS, 2), np.nan, np.float32)
        eyes = np.full((len(crops), 2, 2), np.nan, np.float32)
        for t, faces in enumerate(self.detector.follow(crops)):
            for face in faces[:1]:
                mouth[t], eyes[t] = face.mouth, face.eyes
        return Marks(mouth, mouth_opening(mouth, eyes).astype(np.float64))

    def _sync_figures(self, drawn: Crops, mel: NDArray[np.float32]) -> Mapping[str, Any]:
        if self.judge is None or len(drawn) < WINDOW_FRAMES:
            unknown = dict.fromkeys((name for name in FIGURES if name.startswith("sync_")), float("nan"))
            return {**unknown, "sync_distances": []}
        face, audio = embed_clip(self.judge, drawn, mel, self.config.batch_frames)
        score = sync_scores(face, audio, self.config.sync_max_shift)
        return {
            "sync_confidence": score.confidence,
            "sync_distance": score.distance,
            "sync_offset": float(score.offset),
            "sync_offset_within_1": float(abs(score.offset) <= 1),
            "sync_windows": float(score.windows),
            "sync_distances": list(score.distances),
        }


def strip_frames(opening: NDArray[np.float64]) -> list[int]:
    """For each sixth of the scored frames the one in which the mouth is most open; its middle where none is found."""
    spans = np.array_split(np.arange(FIRST_SCORED, len(opening)), STRIP_FRAMES)
    chosen = []
    for span in (span for span in spans if len(span)):
        gaps = opening[span]
        chosen.append(int(span[np.nanargmax(gaps)] if np.isfinite(gaps).any() else span[len(span) // 2]))
    return chosen


def _picture_figures(truth: Crops, drawn: Crops) -> dict[str, float]:
    decibels = image.psnr(truth, drawn)
    finite = decibels[np.isfinite(decibels)]
    return {
        "ssim": float(image.ssim(truth, drawn).mean()),
        # One frame that happens to equal the truth must not make the whole clip infinite.
        "psnr": float(finite.mean()) if len(finite) else float("inf"),
        "psnr_uint8_legacy": float(image.psnr_uint8_legacy(truth, drawn).mean()),
        "equal_frames": float((~np.isfinite(decibels)).sum()),
    }


def _landmark_figures(truth: Marks, drawn: Marks, ceiling: Marks) -> dict[str, float]:
    scored = slice(FIRST_SCORED, None)
    mouths = truth.mouth[scored], drawn.mouth[scored]
    openings = truth.opening[scored], drawn.opening[scored]
    return {
        "lmd": _mean_found(landmarks.lmd(*mouths)),
        "lmd_centred": _mean_found(landmarks.lmd_centred(*mouths)),
        "lmd_atvg": _mean_found(landmarks.lmd_atvg(*mouths)),
        "found": landmarks.coverage(*mouths),
        "opening_correlation": landmarks.opening_correlation(*openings),
        "opening_ceiling": landmarks.opening_correlation(openings[0], ceiling.opening[scored]),
        "opening_amplitude_ratio": landmarks.opening_amplitude_ratio(*openings),
    }


def _mean_found(values: NDArray[np.float64]) -> float:
    found = values[np.isfinite(values)]
    return float(found.mean()) if len(found) else float("nan")
