"""All figures of one clip: a method's output against the truth, on composited crops before any H.264.

The reference frame is not scored for pictures and landmarks: every method was given it. Synchrony uses all frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcat.data.schema import WINDOW_FRAMES
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics import image, landmarks
from avcat.metrics.drawers import REFERENCE_FRAME, Crops
from avcat.metrics.embed import embed_clip
from avcat.metrics.figures import unmeasured_by
from avcat.metrics.lse import OfficialSyncNet, score_clip
from avcat.metrics.marks import Marker, Marks
from avcat.metrics.perceptual import Perceptual
from avcat.metrics.sync import sync_scores
from avcat.settings import Count, settings

FIRST_SCORED = REFERENCE_FRAME + 1
STRIP_FRAMES = 6


@settings
class EvaluateConfig:
    """How a method is scored (paper, section 4.1)."""

    clips_per_corpus: int  # test clips, chosen by content; 0 takes all
    batch_frames: Count
    sync_max_shift: int  # frames to each side
    bootstrap_samples: Count
    seed: int
    lpips_weights: str | None  # torchvision's AlexNet; null: no LPIPS
    syncnet: str | None  # the official one, `syncnet_v2.model`; null: no LSE


@dataclass(frozen=True)
class Judges:
    """Networks that measure; the figures of one that is missing are NaN."""

    syncnet: SyncNet | None = None  # the evaluator, trained separately from the one in the loss
    official: OfficialSyncNet | None = None
    perceptual: Perceptual | None = None


class ClipScorer:
    """Scores clips one after the other."""

    def __init__(self, marker: Marker, judges: Judges, config: EvaluateConfig) -> None:
        self.marker, self.judges, self.config = marker, judges, config

    def __call__(
        self,
        truth: Crops,
        drawn: Crops,
        ceiling: Crops,
        mel: NDArray[np.float32],
        samples: NDArray[np.float32] | None = None,
    ) -> tuple[dict[str, Any], Crops]:
        """True crops `uint8 [T, S, S, 3]`, those of a method, and what it would show if it knew the truth.

        Also the mel `float32 [80, 4 T]` and, for the official SyncNet, the sound at 16 kHz. Returns the figures
        and a strip of pictures. Figures are floats, NaN if nothing could be measured. `opening_truth` and `opening`
        are the T openings, `sync_distances` those of `SyncScore`, empty without a judge. The strip `[6, S, S, 3]` shows
        the frames in which the true mouth is most open, one from each sixth of the clip: the same for every method.
        """
        assert mel.shape[1] == COLUMNS_PER_FRAME * len(truth), f"{mel.shape} for {len(truth)} frames"
        truth_marks = self.marker.recall(truth)
        # Equal pictures have the truth's landmarks: a pass of the detector is saved.
        marks = truth_marks if np.array_equal(drawn, truth) else self.marker.find(drawn)
        ceiling_marks = truth_marks if np.array_equal(ceiling, truth) else self.marker.recall(ceiling)
        figures = {
            **_picture_figures(truth[FIRST_SCORED:], drawn[FIRST_SCORED:]),
            "lpips": self._perceptual_figure(truth[FIRST_SCORED:], drawn[FIRST_SCORED:]),
            **_landmark_figures(truth_marks, marks, ceiling_marks),
            **self._sync_figures(drawn, mel),
            **self._official_figures(drawn, marks, samples),
            "opening_truth": truth_marks.opening,
            "opening": marks.opening,
        }
        return figures, drawn[strip_frames(truth_marks.opening)]

    def _perceptual_figure(self, truth: Crops, drawn: Crops) -> float:
        return float(self.judges.perceptual(truth, drawn).mean()) if self.judges.perceptual else float("nan")

    def _sync_figures(self, drawn: Crops, mel: NDArray[np.float32]) -> Mapping[str, Any]:
        if self.judges.syncnet is None or len(drawn) < WINDOW_FRAMES:
            return {**unmeasured_by("evaluator"), "sync_distances": []}
        face, audio = embed_clip(self.judges.syncnet, drawn, mel, self.config.batch_frames)
        score = sync_scores(face, audio, self.config.sync_max_shift)
        return {
            "sync_confidence": score.confidence,
            "sync_distance": score.distance,
            "sync_offset": float(score.offset),
            "sync_offset_within_1": float(abs(score.offset) <= 1),
            "sync_windows": float(score.windows),
            "sync_distances": list(score.distances),
        }

    def _official_figures(self, drawn: Crops, marks: Marks, samples: NDArray[np.float32] | None) -> Mapping[str, float]:
        if self.judges.official is None:
            return unmeasured_by("official")
        assert samples is not None, "the official SyncNet needs the sound itself"
        score = score_clip(self.judges.official, drawn, marks.box, samples)
        if score is None:
            return unmeasured_by("official")
        return {
            "lse_c": score.confidence,
            "lse_d": score.distance,
            "lse_offset": float(score.offset),
            "lse_windows": float(score.windows),
        }


def strip_frames(opening: NDArray[np.float64]) -> list[int]:
    """For each sixth of the scored frames the one in which the mouth is most open; its middle if none is found."""
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
