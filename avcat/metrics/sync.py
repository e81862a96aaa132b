"""Synchrony of a face with its sound from SyncNet embeddings: LSE-D, LSE-C (Sync_conf) and offset.

Legend: F face windows, A audio windows, D dimensions; window i of either starts at frame i of the clip, and covers five
frames. The arithmetic is that of the official SyncNet's tool, for embeddings of any SyncNet.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.floating]


@dataclass(frozen=True)
class SyncScore:
    """SyncNet's scores of one clip. Distances are in units of the embeddings, so two SyncNets are not comparable."""

    distance: float  # LSE-D: the smallest mean distance over all shifts; lower is better
    confidence: float  # LSE-C, Sync_conf: median over the shifts minus the smallest; higher is better
    offset: int  # frames; +k: the sound leads by k frames, as in the official tool
    windows: int  # face windows that were averaged; with few, the confidence is noise
    distances: tuple[float, ...]  # the mean distance at every offset, from the most negative on; NaN: none had sound


def sync_scores(
    face: Embeddings, audio: Embeddings, max_shift: int, outside: Literal["leave_out", "zeros"] = "leave_out"
) -> SyncScore:
    """Scores `face` [F, D] against `audio` [A, D] at every shift of -max_shift..max_shift frames.

    A shift may ask for sound before the clip or after it. `leave_out` averages each shift over the windows that have
    sound. `zeros` compares with zero vectors there, as the official tool does: that moves the median and so inflates
    the confidence of short clips. Needs at least one window of each.
    """
    assert len(face) > 0, "no face windows"
    assert len(audio) > 0, "no audio windows"
    assert max_shift >= 1, "one shift has no median"
    shifts = np.arange(-max_shift, max_shift + 1)
    means = np.array([_mean_distance(face, audio, int(shift), outside) for shift in shifts])
    best = int(np.nanargmin(means))
    confidence = float(np.nanmedian(means) - means[best])
    # Window i fits the sound that starts `shift` frames later; if that is negative, the sound came too early.
    distances = tuple(means[::-1].tolist())
    return SyncScore(float(means[best]), confidence, -int(shifts[best]), len(face), distances)


def _mean_distance(face: Embeddings, audio: Embeddings, shift: int, outside: Literal["leave_out", "zeros"]) -> float:
    """Mean L2 distance of face window i to audio window i + shift; NaN if windows are left out and none is left."""
    position = np.arange(len(face)) + shift
    inside = (position >= 0) & (position < len(audio))
    if outside == "leave_out":
        return float(np.linalg.norm(face[inside] - audio[position[inside]], axis=1).mean()) if inside.any() else np.nan
    padded = np.where(inside[:, None], audio[np.clip(position, 0, len(audio) - 1)], 0)
    return float(np.linalg.norm(face - padded, axis=1).mean())


def vertex(left: float, middle: float, right: float) -> float:
    """Where the parabola through three values, one apart, has its extreme: in -0.5..0.5 steps from the middle one.

    0 if the middle one is not an extreme, or a neighbour is NaN.
    """
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if abs(left - right) < abs(bend) else 0.0
