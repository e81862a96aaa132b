"""Composites a redrawn crop into the picture it was cut from, at the picture's own resolution."""

import cv2
import numpy as np

from avcat.dubbing.detail import Detail
from avcat.face.align import invert, scale_of, transform_points
from avcat.face.mask import redrawn_rows_and_columns
from avcat.media.planes import Box

_HALF_UP = 0.5
_COARSER = 4  # colours are matched on a picture smaller by this factor
_STRANGE = 25.0  # levels: pixels that differ by more show different things and are not used to match colours
_OTHER_LIGHT = 20.0  # levels between the mean colours of the edge: from here on it is the light
_MOST_GAIN, _ALIKE = 1.5, 0.5  # and the least correlation
_SPREAD = 0.12  # sides of the crop: reach of an edge's colours
_LITTLE = 1e-3  # of trust: with less, colours stay


def paste(
    image: np.ndarray,
    crop: np.ndarray,
    matrix: np.ndarray,
    alpha: np.ndarray,
    detail: Detail | None = None,
    drawn_side: int | None = None,
) -> Box:
    """Blends the redrawn region of `crop` into `image`, in place; returns the box outside which nothing changed.

    image: uint8 [height, width, 3]. crop: uint8 [S, S, 3]. matrix: float64 [2, 3], from image to crop.
    alpha: float32 [S, S] in 0..1, how much of the crop to take (`avcat.face.mask`); 0 outside the redrawn region.
    detail: sharpens crops coarser than the picture; `drawn_side` is the side of the crop in the network that drew it.
    Where the warped alpha is 0, and so everywhere outside the redrawn region, no pixel changes.
    """
    back = invert(matrix)
    x0, y0, x1, y1 = _bounds(back, crop.shape[0], image.shape[1], image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return x0, y0, x1, y1
    local = back.copy()
    local[:, 2] -= (x0, y0)
    shape = (x1 - x0, y1 - y0)
    size = crop.shape[0]
    crop, thinned = _thinned(crop, local)
    drawn = cv2.warpAffine(crop, thinned, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # linear and at full size, so that the weights stay in 0..1 and within their region
    weight = cv2.warpAffine(alpha, local, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[:, :, None]
    region = image[y0:y1, x0:x1]
    drawn = drawn.astype(np.float32)
    if detail is not None:
        drawn = detail(drawn, region, weight, size / (drawn_side or size) / scale_of(matrix))
    region[:] = np.clip(region + weight * (drawn - region) + _HALF_UP, 0, 255)
    return x0, y0, x1, y1


def match_colour(drawn: np.ndarray, source: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`drawn` with its colours shifted smoothly, so that it matches `source` along the soft edge of `alpha`.

    Both uint8 [S, S, 3], alpha float32 [S, S] in 0..1; returns uint8 [S, S, 3]. Each pixel of the edge gives a colour
    difference, unless it shows something else (a jaw that moved); inside, nearer edge pixels have more weight.
    """
    side = drawn.shape[0]
    small = (side // _COARSER, side // _COARSER)
    weight, true, own = (cv2.resize(p, small, interpolation=cv2.INTER_AREA) for p in (alpha, source, drawn))
    if (lit := _in_other_light(true, own, 4 * weight * (1 - weight))) is not None:
        gain, offset = lit
        drawn, own = drawn * gain + offset, own * gain + offset
    off = np.subtract(true, own, dtype=np.float32)
    trust = 4 * weight * (1 - weight) * np.exp(-np.square(np.abs(off).max(axis=2) / _STRANGE))

    def spread(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), _SPREAD * small[0], borderType=cv2.BORDER_CONSTANT))

    shift = spread(trust[:, :, None] * off) / (spread(trust) + _LITTLE)[:, :, None]
    shift = cv2.resize(shift, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.clip(drawn + shift + _HALF_UP, 0, 255).astype(np.uint8)


def _in_other_light(source: np.ndarray, drawn: np.ndarray, weight: np.ndarray) -> tuple[np.float32, np.ndarray] | None:
    """Factor and offset [3] that bring `drawn` into the light of a source that fades, or is lit otherwise; else None.

    Both uint8 [s, s, 3], by their weighted means and spreads. Small differences are left to the smooth shift, and
    so are pictures of different things, which do not correlate.
    """
    total = weight.sum()
    if not total > _LITTLE:
        return None
    share = (weight / total)[..., None]
    means = [(share * picture).sum((0, 1)) for picture in (source, drawn)]
    if np.abs(means[0] - means[1]).max() < _OTHER_LIGHT:
        return None
    off = [picture - mean for picture, mean in zip((source, drawn), means, strict=True)]
    (spread, shared), (_, own) = ([(share * a * b).sum() for b in off] for a in off)
    if shared <= _ALIKE * np.sqrt(spread * own):
        return None  # they show different things
    gain = np.float32(min(np.sqrt(spread / own), _MOST_GAIN))
    return gain, (means[0] - gain * means[1]).astype(np.float32)


def _bounds(back: np.ndarray, size: int, width: int, height: int) -> Box:
    """The box x0, y0, x1, y1 (end exclusive) of the redrawn region in the picture, cut to the picture."""
    rows, columns = redrawn_rows_and_columns(size)
    xs, ys = (columns.start, columns.stop), (rows.start, rows.stop)
    corners = transform_points(back, np.array([(x, y) for x in xs for y in ys], np.float64))
    x0, y0 = np.floor(corners.min(axis=0)).astype(int)
    x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 1
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def _thinned(crop: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages down a crop much larger than its place in the picture, so that it does not alias."""
    size = crop.shape[0]
    factor = max(1, round(1 / scale_of(local)))
    if factor == 1:
        return crop, local
    small = -(-size // factor)
    ratio = size / small
    linear = local[:, :2]
    shift = local[:, 2:] + linear @ np.full((2, 1), (ratio - 1) / 2)  # pixel centres: (x + 1/2) ratio - 1/2
    return cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), np.hstack([ratio * linear, shift])
