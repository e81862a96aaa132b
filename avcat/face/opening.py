"""How far a mouth is open, in a unit that does not depend on the size of the face."""

import numpy as np

INNER_UPPER, INNER_LOWER = 62 - 48, 66 - 48  # the middles of the lips' inner edges, dlib's numbers


def mouth_opening(mouth: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Inner-lip gap over the distance of the eyes: [...] from mouth [..., 20, 2] and eyes [..., 2, 2]."""
    gap = np.linalg.norm(mouth[..., INNER_UPPER, :] - mouth[..., INNER_LOWER, :], axis=-1)
    return gap / np.linalg.norm(eyes[..., 1, :] - eyes[..., 0, :], axis=-1)
