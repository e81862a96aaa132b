"""All figures of one clip, and the strip of pictures that shows it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.metrics.drawers import Crops
from avcat.metrics.figures import FIGURES
from avcat.metrics.marks import Marker
from avcat.metrics.pair import SCORED, EvaluateConfig, Judges, Pair

STRIP_FRAMES = 6


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
        pair = Pair(truth, drawn, truth_marks, marks, ceiling_marks, mel, samples, self.judges, self.config)
        figures: dict[str, Any] = {
            **dict.fromkeys(FIGURES, float("nan")),
            "sync_distances": [],
            "opening_truth": truth_marks.opening,
            "opening": marks.opening,
        }
        for measure in dict.fromkeys(figure.measure for figure in FIGURES.values()):
            measured = measure(pair)
            assert measured.keys() <= figures.keys(), f"not in FIGURES: {measured.keys() - figures.keys()}"
            figures |= measured
        return figures, drawn[strip_frames(truth_marks.opening)]


def strip_frames(opening: NDArray[np.float64]) -> list[int]:
    """For each sixth of the scored frames the one in which the mouth is most open; its middle if none is found."""
    chosen = []
    for span in np.array_split(np.arange(len(opening))[SCORED], STRIP_FRAMES):
        if len(span):
            gaps = opening[span]
            chosen.append(int(span[np.nanargmax(gaps)] if np.isfinite(gaps).any() else span[len(span) // 2]))
    return chosen
