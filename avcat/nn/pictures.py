"""Pictures as networks take and give them, in -1..1, and as people see them, uint8 RGB."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor


def to_network(pictures: np.ndarray | Tensor) -> Tensor:
    """`uint8 [..., S, S, 3]` -> `float32 [..., 3, S, S]` in -1..1."""
    return torch.as_tensor(pictures).movedim(-1, -3).float() / 127.5 - 1


def from_network(pictures: Tensor) -> Tensor:
    """`[..., 3, S, S]` in about -1..1 -> `float32 [..., S, S, 3]` in 0..255, not rounded."""
    return ((pictures.float().clamp(-1, 1) + 1) * 127.5).movedim(-3, -1)


def crops_to_network(crops: np.ndarray, size: int, device: str) -> Tensor:
    """Crops `uint8 [N, S, S, 3]` -> `float32 [N, 3, size, size]` in -1..1, channels last in memory."""
    if crops.shape[1] != size:
        crops = np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops])
    return to_network(torch.from_numpy(crops).to(device)).contiguous(memory_format=torch.channels_last)


def network_to_crops(pictures: Tensor, size: int) -> np.ndarray:
    """The inverse of `crops_to_network`, except for losses by resizing: `uint8 [N, size, size, 3]`."""
    crops = from_network(pictures).cpu().numpy()
    if crops.shape[1] != size:
        crops = np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC) for crop in crops])
    return np.clip(crops + 0.5, 0, 255).astype(np.uint8)


def mosaic(rows: Sequence[Tensor]) -> np.ndarray:
    """Rows of pictures `[n, 3, S, S]` in -1..1, below each other, as one picture `uint8 [rows S, n S, 3]`."""
    picture = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
    return from_network(picture).round().byte().cpu().numpy()
