"""How well a mouth moves: landmark distances (LMD) and the opening of the mouth over time.

Legend: T frames, 20 mouth points in the order of dlib's 48..67 (docs/architecture.md), (x, y) in pixels of the 256
crop. A frame whose face was not found is NaN in its points, and NaN in every figure made of it.

The literature's LMD differs by a factor of 20 from script to script (sum or mean over the points, centred or not), so
three are computed, each under its own name. The paper's Table 1 fits the uncentred mean per landmark best: no centred
one reaches its 29.13 px, except with a mouth turned round.
"""

import numpy as np
from numpy.typing import NDArray

from avcat.data.schema import MOUTH_POINTS

Points = NDArray[np.floating]
Series = NDArray[np.float64]

MIN_FRAMES = 3  # fewer give no correlation
STILL = 1e-6  # a standard deviation of the opening below this is a mouth that does not move at all


def lmd(truth: Points, drawn: Points) -> Series:
    """Mean distance between the corresponding mouth points in px, not centred: [T, 20, 2] twice -> [T]."""
    return _distances(truth, drawn).mean(axis=1)


def lmd_centred(truth: Points, drawn: Points) -> Series:
    """As `lmd`, after both mouths were moved to their own centre: only shape, without position."""
    return _distances(_centred(truth), _centred(drawn)).mean(axis=1)


def lmd_atvg(truth: Points, drawn: Points) -> Series:
    """ATVGnet's LMD: centred, and the *sum* over the 20 points instead of their mean."""
    return _distances(_centred(truth), _centred(drawn)).sum(axis=1)


def coverage(truth: Points, drawn: Points) -> float:
    """Fraction of the frames in which both faces were found."""
    return float(np.isfinite(_distances(truth, drawn).sum(axis=1)).mean())


def opening_correlation(truth: Series, drawn: Series) -> float:
    """Pearson correlation of a clip's mouth opening with the truth's, over the frames in which both were found.

    NaN ("not counted") if the truth does not move or fewer than three frames are left. A drawn mouth that does not
    move follows nothing: 0.
    """
    truth, drawn = _both_found(truth, drawn)
    if len(truth) < MIN_FRAMES or truth.std() < STILL:
        return float("nan")
    if drawn.std() < STILL:
        return 0.0
    return float(np.corrcoef(truth, drawn)[0, 1])


def opening_amplitude_ratio(truth: Series, drawn: Series) -> float:
    """Standard deviation of a clip's mouth opening over that of the truth's: above 1 the drawn mouth exaggerates.

    NaN under the same conditions as `opening_correlation`.
    """
    truth, drawn = _both_found(truth, drawn)
    if len(truth) < MIN_FRAMES or truth.std() < STILL:
        return float("nan")
    return float(drawn.std() / truth.std())


def _both_found(truth: Series, drawn: Series) -> tuple[Series, Series]:
    assert truth.shape == drawn.shape, f"series of different lengths: {truth.shape} and {drawn.shape}"
    both = np.isfinite(truth) & np.isfinite(drawn)
    return truth[both].astype(np.float64), drawn[both].astype(np.float64)


def _centred(points: Points) -> Points:
    wide = points.astype(np.float64)
    return wide - wide.mean(axis=1, keepdims=True)


def _distances(truth: Points, drawn: Points) -> NDArray[np.float64]:
    assert truth.shape == drawn.shape == (len(truth), MOUTH_POINTS, 2), f"{truth.shape} and {drawn.shape}"
    return np.linalg.norm(truth.astype(np.float64) - drawn, axis=2)
