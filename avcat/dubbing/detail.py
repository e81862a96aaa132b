"""Gives a redrawn face as much detail as its source, if the network's resolution is lower than the source's."""

import cv2
import numpy as np

_COARSER = 1.2  # source pixels per network pixel: below this, no sharpening
_SIGMA = 0.6  # of the Gaussian that defines detail, in pixels of the network
_MOST = 0.8  # of the drawn detail, added to it at most: more would be noise and halos
_MEMORY = 0.95  # weight of earlier measurements per frame, against flicker


class Detail:
    """Of one person, frame by frame: measures the detail of the source face and of the redrawn face.

    Detail is what a Gaussian removes; its energy is weighted by how much of the drawn face is used. The drawn face is
    sharpened (unsharp mask, within bounds) so that the energies agree; it is never blurred.
    """

    def __init__(self) -> None:
        self._source = self._drawn = 0.0

    def __call__(self, drawn: np.ndarray, source: np.ndarray, weight: np.ndarray, coarser: float) -> np.ndarray:
        """`drawn`, float32 [h, w, 3], sharpened.

        source: like `drawn`, the picture it is pasted into. weight: float32 [h, w, 1] in 0..1.
        coarser: pixels of the picture per pixel of the network.
        """
        if coarser < _COARSER or not weight.any():
            return drawn
        detail = _detail(drawn, _SIGMA * coarser)
        self._source = _MEMORY * self._source + float((weight * np.square(_detail(source, _SIGMA * coarser))).sum())
        self._drawn = _MEMORY * self._drawn + float((weight * np.square(detail)).sum())
        return drawn + amount(self._source, self._drawn) * detail


def amount(source: float, drawn: float) -> float:
    """Factor of its own detail to add to a picture of energy `drawn`, so that it has the energy `source`."""
    return min(max((source / drawn) ** 0.5 - 1, 0.0), _MOST) if drawn > 0 else 0.0


def _detail(picture: np.ndarray, sigma: float) -> np.ndarray:
    picture = np.asarray(picture, np.float32)
    return picture - cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
