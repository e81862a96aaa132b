"""Which part of a redrawn crop is pasted: the face, with a soft edge, within the redrawn region."""

import cv2
import numpy as np

from avcat.face.mask import redrawn_rows_and_columns

# In sides of the crop: how far inside the face's outline the edge lies, so that jaws keep the source's sharp edge; and
# how far below the chin, since the new chin may be lower, or the old one must be covered if the new one is higher.
_NARROWER, _LOWER = 0.02, 0.05
_CHIN = 8  # how much more the chin is lowered than the jaw beside it, where the unchanged neck begins
_SOFT = 0.025  # sigma of its edge
_SUBPIXEL_BITS = 4


def soft_redraw_mask(size: int, feather: float = 1 / 24) -> np.ndarray:
    """How much of the redrawn crop to paste at most, float32 [size, size] in 0..1.

    0 outside the redrawn region and on its outermost pixels; inside, it rises smoothly to 1 over `feather` of the side.
    """
    rows, columns = redrawn_rows_and_columns(size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    down, across = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in (height, width))
    ramp = np.clip(np.minimum(down[:, None], across[None, :]) / (feather * size), 0, 1)
    mask = np.zeros((size, size), np.float32)
    mask[rows, columns] = ramp * ramp * (3 - 2 * ramp)
    return mask


def face_mask(outline: np.ndarray, size: int) -> np.ndarray:
    """1 on a face, 0 away from it, float32 [size, size], soft between; from its outline [N, 2] in pixels of the crop.

    A little narrower than the face, and longer below, where chins move. Multiplied by `soft_redraw_mask` it is the
    alpha of a redrawn crop: hair, collar and background beside the face stay those of the picture.
    """
    middle, top, bottom = outline[:, 0].mean(), outline[:, 1].min(), outline[:, 1].max()
    down = ((outline[:, 1] - top) / max(bottom - top, 1)) ** _CHIN
    grown = outline + size * np.stack([-_NARROWER * np.sign(outline[:, 0] - middle), _LOWER * down], axis=1)
    filled = np.zeros((size, size), np.float32)
    points = np.rint(grown * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(filled, [points], (1.0,), cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(cv2.GaussianBlur(filled, (0, 0), _SOFT * size), np.float32)
