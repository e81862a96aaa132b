"""From a face in a video to a steady square crop, and back.

A `matrix` is the float64 [2, 3] similarity that takes source pixels to crop pixels. The centre of the top left pixel is
(0, 0), so the fraction f of a crop of side S lies at pixel f * S - 0.5, whatever S.
"""

import cv2
import numpy as np

from avcat.face.landmarks import LEFT_CORNER, RIGHT_CORNER
from avcat.settings import Fraction, Seconds, settings

DRIFT_SIGMA_S = 0.05  # decision 0009
_REACH = 4.0  # sigmas; the weight beyond is less than 0.04 %
_NO_SPREAD = 1e-9  # square seconds; one frame, or several at the same time, have no trend


@settings
class AlignConfig:
    """Position of the eyes in the square crop, as fractions of its side, and smoothing of the crop."""

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    position_sigma_s: Seconds  # Gaussian smoothing of the eyes' midpoint and angle
    scale_sigma_s: Seconds  # of the eyes' distance: much longer, so that a turning head keeps its size
    # Height of the corners of the mouth in the crop, the clip's median, as a fraction of its side: long faces are moved
    # up and short ones down. None aligns by the eyes only, as in older files.
    mouth_height: Fraction | None = None


def eye_targets(config: AlignConfig, size: int) -> np.ndarray:
    """float64 [2, 2]: target pixels of the left and right eye in a crop of side `size`."""
    return np.array([config.left_eye, config.right_eye], np.float64) * size - 0.5


def alignment(
    eyes: np.ndarray,
    times_s: np.ndarray,
    config: AlignConfig,
    size: int,
    mouths: np.ndarray | None = None,
    pixel_aspect: float = 1.0,
    moves: np.ndarray | None = None,
) -> np.ndarray:
    """float64 [T, 2, 3]: for each frame the similarity to a crop of side `size`, from points in source pixels.

    If those are not square, `pixel_aspect` (width over height) widens the picture first, so that faces have their
    displayed shape.

    The points are eyes [T, 2, 2] and, if `mouth_height` is set, mouths [T, 20, 2], which shift the whole clip by one
    amount. The eyes' midpoint and angle follow the head, smoothed over `position_sigma_s`; their distance, which
    shrinks when a head turns, is smoothed over `scale_sigma_s`, so that the crop keeps its size. Frames may be unevenly
    spaced, and points NaN if there is no face: there the eyes are interpolated linearly. At least one frame must have a
    face.

    `moves` [T, 2], NaN if unknown, is how far the head moved in the picture since the previous frame, measured more
    precisely than by the eyes (`avcat.dubbing.steady`). Then the eyes' midpoint follows `moves`, and the eyes only
    correct its drift, slower than `DRIFT_SIGMA_S`.
    """
    to_square = np.array([pixel_aspect, 1.0])
    left, right = (_bridged(eyes, times_s) * to_square).transpose(1, 0, 2)
    middle = smooth((left + right) / 2, times_s, config.position_sigma_s, follow_trend=True)
    across = smooth(right - left, times_s, config.position_sigma_s, follow_trend=True)
    if moves is not None:  # unknown moves are replaced by those of the eyes
        steps = np.where(np.isfinite(moves), moves * to_square, np.diff(middle, axis=0, prepend=middle[:1]))
        way = np.cumsum(steps, axis=0)
        middle = way + smooth((left + right) / 2 - way, times_s, DRIFT_SIGMA_S, follow_trend=True)
    distance = np.linalg.norm(right - left, axis=1, keepdims=True)
    distance = smooth(distance, times_s, config.scale_sigma_s, follow_trend=False)[:, 0]

    target_left, target_right = eye_targets(config, size)
    target = target_right - target_left
    scale = np.linalg.norm(target) / distance
    angle = np.arctan2(target[1], target[0]) - np.arctan2(across[:, 1], across[:, 0])
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    shift = (target_left + target_right) / 2 - np.einsum("tij,tj->ti", linear, middle)
    if config.mouth_height is not None:
        assert mouths is not None, "mouth_height needs mouths"
        shift[:, 1] += config.mouth_height * size - 0.5 - _height(mouths * to_square, linear, shift)
    return np.concatenate([linear * to_square, shift[:, :, None]], axis=2)


def _height(mouths: np.ndarray, linear: np.ndarray, shift: np.ndarray) -> float:
    """The row of the crop of the mouth's corners, the median over the frames that show them.

    Every detector gives the corners, and they do not move when lips part.
    """
    corners = mouths[:, [LEFT_CORNER, RIGHT_CORNER]].mean(1, dtype=np.float64)
    return float(np.nanmedian(np.einsum("tj,tj->t", linear[:, 1], corners) + shift[:, 1]))


def _bridged(eyes: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """float64 [T, 2, 2] without NaN: interpolated over time, held at the ends."""
    flat = eyes.reshape(len(eyes), 4).astype(np.float64)
    seen = np.isfinite(flat).all(axis=1)
    assert seen.any(), "no face in any frame"
    columns = [np.interp(times_s, times_s[seen], column[seen]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(-1, 2, 2)


def smooth(values: np.ndarray, times_s: np.ndarray, sigma_s: float, *, follow_trend: bool) -> np.ndarray:
    """Gaussian smoothing of [T, D] over uneven times.

    With `follow_trend` a line is fitted under the Gaussian instead of a constant: no difference in the middle of a
    clip; at its ends, where the Gaussian is cut, a moving head is not pulled back towards earlier positions.
    """
    first = np.searchsorted(times_s, times_s - _REACH * sigma_s, side="left")
    last = np.searchsorted(times_s, times_s + _REACH * sigma_s, side="right")
    out = np.empty(values.shape, np.float64)
    for t, time_s in enumerate(times_s):
        part = slice(first[t], last[t])
        out[t] = _fit(times_s[part] - time_s, values[part], sigma_s, follow_trend)
    return out


def _fit(offset: np.ndarray, values: np.ndarray, sigma_s: float, follow_trend: bool) -> np.ndarray:
    """The Gaussian's mean, or its line's value at offset 0, of values [N, D] at time offsets [N]: [D]."""
    weight = np.exp(-0.5 * np.square(offset / sigma_s))
    weight /= weight.sum()
    mean_offset = weight @ offset
    centred = offset - mean_offset
    spread = weight @ np.square(centred)
    if follow_trend and spread > _NO_SPREAD:
        weight = weight * (1 - centred * mean_offset / spread)
    return weight @ values


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop uint8 [size, size, 3] of uint8 [height, width, 3]; outside the picture, its edge is repeated.

    If the picture is shrunk, it is warped at about its own scale first and then averaged down, to avoid aliasing.
    """
    factor = max(1, round(1 / scale_of(matrix)))
    finer = np.concatenate([factor * matrix[:, :2], factor * (matrix[:, 2:] + 0.5) - 0.5], axis=1)
    side = factor * size
    fine = cv2.warpAffine(image, finer, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return fine if factor == 1 else cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)


def scale_of(matrix: np.ndarray) -> float:
    """Crop pixels per source pixel."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def invert(matrix: np.ndarray) -> np.ndarray:
    """float64 [2, 3]: from crop pixels back to source pixels."""
    # not by numpy: its linear algebra starts threads that then keep a core busy with waiting
    return np.asarray(cv2.invertAffineTransform(matrix))


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] transformed by `matrix`, in float64."""
    return points @ matrix[:, :2].T + matrix[:, 2]
