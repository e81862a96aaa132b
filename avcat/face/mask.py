"""Which part of a crop is redrawn: the lower half except a strip at the left and right edge (paper, section 4)."""

import numpy as np

_STRIPS = 16  # the strip kept at each edge is 1/16 of the side: 16 of the paper's 256 pixels


def redrawn_rows_and_columns(size: int) -> tuple[slice, slice]:
    """Rows S/2 .. S-1 and columns S/16 .. 15 S/16 - 1 of a crop of side S.

    Raises ValueError if S is not a multiple of 16.
    """
    if size <= 0 or size % _STRIPS:
        raise ValueError(f"the side of a crop must be a multiple of {_STRIPS}, not {size}")
    strip = size // _STRIPS
    return slice(size // 2, size), slice(strip, size - strip)


def keep_mask(size: int) -> np.ndarray:
    """M of the paper, float32 [size, size]: 1 where the picture is kept, 0 where it is redrawn (43.75 % of it)."""
    mask = np.ones((size, size), np.float32)
    mask[redrawn_rows_and_columns(size)] = 0
    return mask
