"""As much detail in a redrawn face as its source has, where the network's picture is coarser than the source's."""

import cv2
import numpy as np

_COARSER = 1.2  # source pixels for one of the network's: what is less needs no help
_SIGMA = 0.6  # of what counts as detail, in pixels of the network
_MOST = 0.8  # of the drawn detail that is added to it at most: more would be noise and halos
_MEMORY = 0.95  # of what was measured, from one frame to the next, so that nothing flickers


class Detail:
    """One person's, frame by frame: it measures the detail of the source's own face and of what is drawn in its place.

    Detail is what a Gaussian takes away; its energy is weighted by how much of the drawn face is taken. What is drawn
    is sharpened (unsharp mask, within bounds) so that the energies agree; it is never blurred.
    """

    def __init__(self) -> None:
        self._source = self._drawn = 0.0

    def __call__(self, drawn: np.ndarray, source: np.ndarray, weight: np.ndarray, coarser: float) -> np.ndarray:
        """`drawn`, float32 [h, w, 3], sharpened.

        source: like `drawn`, the picture it goes into. weight: float32 [h, w, 1] in 0..1.
        coarser: pixels of the picture for one of the network's.
        """
        if coarser < _COARSER or not weight.any():
            return drawn
        detail = _detail(drawn, _SIGMA * coarser)
        self._source = _MEMORY * self._source + float((weight * np.square(_detail(source, _SIGMA * coarser))).sum())
        self._drawn = _MEMORY * self._drawn + float((weight * np.square(detail)).sum())
        return drawn + amount(self._source, self._drawn) * detail


def amount(source: float, drawn: float) -> float:
    """How much of its own detail a picture with the energy `drawn` is to get more, to have the energy `source`."""
    return min(max((source / drawn) ** 0.5 - 1, 0.0), _MOST) if drawn > 0 else 0.0


def _detail(picture: np.ndarray, sigma: float) -> np.ndarray:
    picture = np.asarray(picture, np.float32)
    return picture - cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
