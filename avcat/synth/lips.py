"""The geometry of the mouth: from viseme parameters to the four curves of the lips, the jaw and the 20 points."""

from dataclasses import dataclass

import numpy as np

from avcat.synth.identity import Identity
from avcat.synth.visemes import CLOSURE, OPENING, ROUND, SPREAD, TUCK

MAX_GAP = 0.42  # between the lips at opening 1, in units of the distance between the eyes
UPPER_SHARE = 0.20  # of the gap: the upper lip rises a little, the lower one does the rest
INNER_CORNER = 0.82  # of the half width: where the lips part
TUCKED_GAP = 0.045  # visible part of the upper teeth when the lower lip rests against them

# dlib 48..59: where the outer points lie between the corners; 60..67: the inner ones. Face Mesh puts them there too.
_UPPER_OUTER = (-1.0, -0.72, -0.30, 0.0, 0.30, 0.72, 1.0)
_LOWER_OUTER = (0.74, 0.31, 0.0, -0.31, -0.74)
_UPPER_INNER = (-INNER_CORNER, -0.43, 0.0, 0.43, INNER_CORNER)
_LOWER_INNER = (0.43, 0.0, -0.43)
_POINTS = np.array(_UPPER_OUTER + _LOWER_OUTER + _UPPER_INNER + _LOWER_INNER)
_CURVES = np.repeat([0, 3, 1, 2], [len(_UPPER_OUTER), len(_LOWER_OUTER), len(_UPPER_INNER), len(_LOWER_INNER)])


@dataclass(frozen=True)
class Lips:
    """One pose of the mouth, in units of the distance between the eyes (axes: `avcat.synth.paint`)."""

    half_width: float
    line_y: float  # where the lips meet, or would meet
    gap: float
    upper: float  # thickness of the lips in the middle
    lower: float
    jaw: float  # how far the chin hangs below its rest
    bow: float
    smile: float

    def curves(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Heights y, shaped as `x`: upper lip's outer and inner edge, lower lip's inner and outer edge.

        Between the corners each is at or below the one before; beyond them all four are equal.
        """
        s = np.clip(x / self.half_width, -1, 1)
        middle = self.line_y - self.smile * s**2 + 0.010 * np.cos(2.4 * np.pi * s) * (1 - s**2)
        inner = np.sqrt(np.clip(1 - (s / INNER_CORNER) ** 2, 0, 1))
        body = np.clip(1 - np.abs(s) ** 2.2, 0, 1)
        bow = 1 - self.bow * (np.exp(-((s / 0.17) ** 2)) - 0.45 * np.exp(-(((np.abs(s) - 0.27) / 0.18) ** 2)))
        upper_inner = middle - UPPER_SHARE * self.gap * inner
        lower_inner = middle + (1 - UPPER_SHARE) * self.gap * inner
        upper_outer = upper_inner - self.upper * body**0.9 * bow - 0.1 * UPPER_SHARE * self.gap * (body - inner)
        lower_outer = lower_inner + self.lower * body**0.75 + 0.25 * self.gap * np.clip(body - inner, 0, 1)
        return upper_outer, upper_inner, lower_inner, lower_outer

    def points(self) -> np.ndarray:
        """float64 [20, 2]: dlib's points 48..67."""
        x = _POINTS * self.half_width
        return np.stack([x, np.array(self.curves(x))[_CURVES, np.arange(len(x))]], axis=1)


def pose_lips(identity: Identity, shape: np.ndarray) -> Lips:
    """The lips of `identity` for one row [6] of `MouthTrack.at`."""
    opening, spread, rounding, closure, tuck = (float(shape[i]) for i in (OPENING, SPREAD, ROUND, CLOSURE, TUCK))
    full = MAX_GAP * identity.articulation * opening
    gap = full * (1 - closure)
    gap = gap * (1 - tuck) + min(gap, TUCKED_GAP) * tuck
    jaw = 0.80 * full * (1 - 0.4 * closure) * (1 - 0.4 * tuck)
    stretch = gap / MAX_GAP
    return Lips(
        half_width=identity.mouth_width * (1 + 0.15 * spread - 0.36 * rounding - 0.06 * stretch),
        line_y=identity.mouth_y + 0.45 * max(jaw - gap, 0.0) + 0.06 * gap,
        gap=gap,
        upper=identity.upper_lip * (1 + 0.15 * rounding - 0.10 * spread - 0.15 * stretch) * (1 - 0.30 * closure),
        lower=identity.lower_lip
        * (1 + 0.15 * rounding - 0.08 * spread - 0.15 * stretch)
        * (1 - 0.30 * closure - 0.3 * tuck),
        jaw=jaw,
        bow=identity.bow * (1 - 0.5 * rounding),
        smile=identity.smile + 0.015 * spread,
    )
