"""A video's own A/V offset, measured by our SyncNet: how much earlier its sound is than its picture, if measurable."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avcat.checkpoint import load_model
from avcat.data.schema import FPS, WINDOW_FRAMES
from avcat.dubbing.stretches import stretches
from avcat.face.landmarks import FaceDetector
from avcat.media.video import probe
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics.embed import embed_clip
from avcat.metrics.sync import SyncScore, sync_scores, vertex

MAX_SHIFT = 15  # frames searched to each side
_MAX_FRAMES = 20 * FPS  # as informative as a whole film
_PARTS = 3  # which must agree
_AGREE = 1  # frames
_MIN_FRAMES = _PARTS * (FPS + WINDOW_FRAMES)  # a second for each part
_BATCH_WINDOWS = 64


@dataclass(frozen=True)
class SourceOffset:
    """The measured offset."""

    lead_s: float  # how much earlier the sound is than its picture; negative: later
    confidence: float  # SyncNet's: median over the shifts minus the smallest distance; not comparable between SyncNets
    sure: bool  # whether the thirds of the clip, measured separately, agree within a frame
    seconds: float  # of the clip that were measured

    def __str__(self) -> str:
        if not self.sure:
            return (
                f"cannot tell whether its own sound fits its picture (confidence {self.confidence:.3f}; thirds of "
                f"{self.seconds:.1f} s disagree)"
            )
        if abs(self.lead_s) < 0.5 / FPS:
            return f"its own sound fits its picture (within {0.5 / FPS:.2f} s; confidence {self.confidence:.3f})"
        verb = "comes before" if self.lead_s > 0 else "comes after"
        return f"its own sound {verb} its picture by {abs(self.lead_s):.2f} s (confidence {self.confidence:.3f})"


def source_offset(
    video: str | Path, syncnet: str | Path, detector: FaceDetector, device: str = "cpu"
) -> SourceOffset | None:
    """Measured on the longest stretch, in the first 20 s, that shows the largest face; None if there is no sound, or
    no face for three seconds and a half. Raises InputError if a file cannot be used.
    """
    network, file = load_model(syncnet, SyncNet, device)
    if not probe(video).has_audio:
        return None
    size = network.config.image_size
    parts = stretches(Path(video), file.inputs, size, detector, _MAX_FRAMES)
    crops, mel = max(parts, key=lambda part: len(part[0]), default=(np.empty(0, np.uint8), np.empty(0, np.float32)))
    return _measured(*embed_clip(network, crops, mel, _BATCH_WINDOWS)) if len(crops) >= _MIN_FRAMES else None


def _measured(faces: np.ndarray, sounds: np.ndarray) -> SourceOffset:
    """From the embeddings [T - 4, D] of a stretch's windows."""
    score = sync_scores(faces, sounds, MAX_SHIFT)
    alone = [_lead(part) for part in np.array_split(_distances(faces, sounds), _PARTS)]
    sure = abs(score.offset) < MAX_SHIFT and all(abs(lead - score.offset) <= _AGREE for lead in alone)
    seconds = (len(faces) + WINDOW_FRAMES - 1) / FPS
    return SourceOffset(_finely(score) / FPS, score.confidence, sure, seconds)


def _distances(faces: np.ndarray, sounds: np.ndarray) -> np.ndarray:
    """float [T - 4, 31]: from each face window to the sound at a lead of -15..15 frames; NaN: no sound there."""
    apart = np.full((len(faces), 2 * MAX_SHIFT + 1), np.nan)
    for column, lead in enumerate(range(-MAX_SHIFT, MAX_SHIFT + 1)):
        rows = np.arange(max(0, lead), min(len(faces), len(sounds) + lead))
        apart[rows, column] = np.linalg.norm(faces[rows] - sounds[rows - lead], axis=1)
    return apart


def _lead(distances: np.ndarray) -> int:
    """Lead in frames with the smallest mean of [N, 31], among the leads that at least half of the windows have."""
    enough = np.isfinite(distances).mean(axis=0) >= 0.5
    return int(np.nanargmin(np.where(enough, np.nanmean(distances, axis=0), np.nan))) - MAX_SHIFT


def _finely(score: SyncScore) -> float:
    """The offset in frames, refined between frames by the neighbouring distances."""
    best = score.offset + MAX_SHIFT
    if not 0 < best < 2 * MAX_SHIFT:
        return float(score.offset)
    return score.offset + vertex(*score.distances[best - 1 : best + 2])
