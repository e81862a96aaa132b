"""What the figures of a clip are measured on: a method's output beside the truth, and the networks that measure.

Crops are those composited by the method, before any H.264. The reference frame is not scored for pictures and
landmarks: every method was given it. Synchrony uses all frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcat.methods.syncnet.model import SyncNet
from avcat.metrics.drawers import REFERENCE_FRAME, Crops
from avcat.metrics.lse import OfficialSyncNet
from avcat.metrics.marks import Marks
from avcat.metrics.perceptual import Perceptual
from avcat.settings import Count, settings

SCORED = slice(REFERENCE_FRAME + 1, None)  # of a clip's frames, for pictures and landmarks


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


@dataclass(frozen=True)
class Pair:
    """One clip of T frames, true and drawn."""

    truth: Crops  # uint8 [T, S, S, 3] RGB, as all crops
    drawn: Crops
    truth_marks: Marks
    marks: Marks  # of `drawn`
    ceiling_marks: Marks  # of what the method would show if it knew the truth
    mel: NDArray[np.float32]  # [80, 4 T]
    samples: NDArray[np.float32] | None  # the sound at 16 kHz, only for the official SyncNet
    judges: Judges
    config: EvaluateConfig
