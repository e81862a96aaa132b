"""The figures of a pair of clips, by name: each function measures some of `avcat.metrics.figures.FIGURES`.

A figure is a float, NaN if it cannot be measured; all figures of a missing judge are left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcat.data.schema import WINDOW_FRAMES
from avcat.metrics import image, landmarks
from avcat.metrics.embed import embed_clip
from avcat.metrics.lse import score_clip
from avcat.metrics.pair import SCORED, Pair
from avcat.metrics.sync import sync_scores


def pictures(pair: Pair) -> dict[str, float]:
    truth, drawn = pair.truth[SCORED], pair.drawn[SCORED]
    decibels = image.psnr(truth, drawn)
    finite = decibels[np.isfinite(decibels)]
    return {
        "ssim": float(image.ssim(truth, drawn).mean()),
        # One frame that happens to equal the truth must not make the whole clip infinite.
        "psnr": float(finite.mean()) if len(finite) else float("inf"),
        "psnr_uint8_legacy": float(image.psnr_uint8_legacy(truth, drawn).mean()),
        "equal_frames": float((~np.isfinite(decibels)).sum()),
    }


def perceptual(pair: Pair) -> dict[str, float]:
    judge = pair.judges.perceptual
    return {"lpips": float(judge(pair.truth[SCORED], pair.drawn[SCORED]).mean())} if judge else {}


def mouths(pair: Pair) -> dict[str, float]:
    points = pair.truth_marks.mouth[SCORED], pair.marks.mouth[SCORED]
    truth, drawn, ceiling = (m.opening[SCORED] for m in (pair.truth_marks, pair.marks, pair.ceiling_marks))
    return {
        "lmd": mean_found(landmarks.lmd(*points)),
        "lmd_centred": mean_found(landmarks.lmd_centred(*points)),
        "lmd_atvg": mean_found(landmarks.lmd_atvg(*points)),
        "found": landmarks.coverage(*points),
        "opening_correlation": landmarks.opening_correlation(truth, drawn),
        "opening_ceiling": landmarks.opening_correlation(truth, ceiling),
        "opening_amplitude_ratio": landmarks.opening_amplitude_ratio(truth, drawn),
    }


def evaluator(pair: Pair) -> dict[str, Any]:
    """Also `sync_distances`, the distances of `SyncScore`."""
    if pair.judges.syncnet is None or len(pair.drawn) < WINDOW_FRAMES:
        return {}
    face, audio = embed_clip(pair.judges.syncnet, pair.drawn, pair.mel, pair.config.batch_frames)
    score = sync_scores(face, audio, pair.config.sync_max_shift)
    return {
        "sync_confidence": score.confidence,
        "sync_distance": score.distance,
        "sync_offset": float(score.offset),
        "sync_offset_within_1": float(abs(score.offset) <= 1),
        "sync_windows": float(score.windows),
        "sync_distances": list(score.distances),
    }


def official(pair: Pair) -> dict[str, float]:
    if pair.judges.official is None:
        return {}
    assert pair.samples is not None, "the official SyncNet needs the sound itself"
    score = score_clip(pair.judges.official, pair.drawn, pair.marks.box, pair.samples)
    if score is None:
        return {}
    return {
        "lse_c": score.confidence,
        "lse_d": score.distance,
        "lse_offset": float(score.offset),
        "lse_windows": float(score.windows),
    }


def mean_found(values: NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN if nothing is left."""
    found = values[np.isfinite(values)]
    return float(found.mean()) if len(found) else float("nan")
