"""A face with what dubbing observes in the picture around its landmarks."""

from dataclasses import dataclass

import numpy as np

from avcat.face.landmarks import Face


@dataclass(frozen=True)
class Observed(Face):
    """What `avcat.dubbing.steady` and `avcat.dubbing.visible` add to a face."""

    moved: np.ndarray | None = None  # float64 [2], since the previous frame; None if unknown
    look: np.ndarray | None = None  # uint8 [16, 16, 3]; None if not computed
    hand: float = np.nan  # share of the mouth that lies behind a hand, 0..1; NaN if not computed

    @classmethod
    def of(cls, face: Face) -> "Observed":
        """A face with what has been observed so far."""
        return face if isinstance(face, cls) else cls(**vars(face))
