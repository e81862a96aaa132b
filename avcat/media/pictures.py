"""Pictures as files: PNG and JPEG, as bytes, since OpenCV does not report a disk that is full."""

from collections.abc import Sequence

import cv2
import numpy as np


def png(picture: np.ndarray) -> bytes:
    """A picture `uint8 [height, width, 3]` RGB. Lossless, deterministic bytes."""
    return _encoded(".png", picture, [])


def jpeg(picture: np.ndarray, quality: int) -> bytes:
    """As `png`; `quality` of 1..100."""
    return _encoded(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encoded(suffix: str, picture: np.ndarray, options: Sequence[int]) -> bytes:
    done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert done
    return data.tobytes()
