"""A redrawn crop put back into the picture it was cut from, at the picture's own resolution."""

import cv2
import numpy as np

from avcat.face.align import invert, scale_of, transform_points
from avcat.face.mask import redrawn_rows_and_columns

_HALF_UP = 0.5


def paste(image: np.ndarray, crop: np.ndarray, matrix: np.ndarray, alpha: np.ndarray) -> None:
    """Blends the redrawn region of `crop` into `image`, in place.

    image: uint8 [height, width, 3]. crop: uint8 [S, S, 3]. matrix: float64 [2, 3], from image to crop.
    alpha: float32 [S, S] in 0..1, how much of the crop to take (`avcat.face.mask.soft_redraw_mask`).
    Where the warped alpha is 0, and so everywhere outside the redrawn region, not one pixel changes.
    """
    back = invert(matrix)
    x0, y0, x1, y1 = _bounds(back, crop.shape[0], image.shape[1], image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    local = back.copy()
    local[:, 2] -= (x0, y0)
    shape = (x1 - x0, y1 - y0)
    crop, alpha, local = _thinned(crop, alpha, local, scale_of(back))
    drawn = cv2.warpAffine(crop, local, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # linear, so that the weights stay in 0..1 and reach no further than their region
    weight = cv2.warpAffine(alpha, local, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[:, :, None]
    region = image[y0:y1, x0:x1]
    region[:] = region + weight * (drawn.astype(np.float32) - region) + _HALF_UP


def _bounds(back: np.ndarray, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The box x0, y0, x1, y1 (end exclusive) of the redrawn region in the picture, cut to the picture."""
    rows, columns = redrawn_rows_and_columns(size)
    xs, ys = (columns.start, columns.stop), (rows.start, rows.stop)
    corners = transform_points(back, np.array([(x, y) for x in xs for y in ys], np.float64))
    x0, y0 = np.floor(corners.min(axis=0)).astype(int)
    x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 1
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def _thinned(
    crop: np.ndarray, alpha: np.ndarray, local: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crop much larger than its place in the picture is averaged down first, so that it does not alias."""
    factor = max(1, round(1 / scale))
    if factor == 1:
        return crop, alpha, local
    size = max(1, crop.shape[0] // factor)
    ratio = crop.shape[0] / size
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
    return (
        crop,
        alpha,
        np.concatenate([ratio * local[:, :2], local[:, 2:] + local[:, :2] @ np.full((2, 1), (ratio - 1) / 2)], axis=1),
    )
