"""Changes that a speaker's mouth and sound survive: mirrored faces, other light, a crop that sits a little off."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_GAIN = 0.25  # of brightness and of each colour, as a share
MAX_MOVE = 0.04  # of the side
MAX_ROTATION = math.radians(4)
MAX_ZOOM = 0.06


def to_network(images: Tensor) -> Tensor:
    """`uint8 [..., S, S, 3]` -> `float32 [..., 3, S, S]` in -1..1."""
    return images.movedim(-1, -3).float() / 127.5 - 1


def mirror_and_light(images: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the windows mirrored, all under another light. `[W, n, 3, S, S]` in -1..1, one change for a window."""
    w = images.shape[0]
    flip = torch.rand(w, generator=generator) < 0.5
    images = torch.where(flip.view(w, 1, 1, 1, 1), images.flip(-1), images)
    gain = 1 + MAX_GAIN * (2 * torch.rand(w, 1, 1, 1, 1, generator=generator) - 1)
    tint = 1 + MAX_GAIN / 2 * (2 * torch.rand(w, 1, 3, 1, 1, generator=generator) - 1)
    return (((images + 1) * gain * tint) - 1).clamp(-1, 1)


def misalign(images: Tensor, generator: torch.Generator) -> Tensor:
    """A small similarity transform for each window, as if the eyes had been found a little beside their place."""
    w, n, c, height, width = images.shape

    def uniform(limit: float) -> Tensor:
        return limit * (2 * torch.rand(w, generator=generator) - 1)

    angle, zoom = uniform(MAX_ROTATION), 1 + uniform(MAX_ZOOM)
    x, y = uniform(2 * MAX_MOVE), uniform(2 * MAX_MOVE)  # grid units: the side is 2
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    theta = torch.stack((torch.stack((cos, -sin, x), -1), torch.stack((sin, cos, y), -1)), -2)
    grid = F.affine_grid(theta, [w, c, height, width], align_corners=False).repeat_interleave(n, 0)
    moved = F.grid_sample(images.flatten(0, 1), grid, padding_mode="reflection", align_corners=False)
    return moved.view(w, n, c, height, width)
