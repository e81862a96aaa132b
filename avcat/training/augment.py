"""Augmentations that keep mouth and sound in agreement: mirrored faces, other light, slightly misaligned crops.

Random numbers are passed in, uniform in 0..1, one row per window, so that a window is augmented alike in any batch and
on any machine.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LIGHT_DRAWS, MOVE_DRAWS = 5, 4  # how many uniform numbers `mirror_and_light` and `misalign` take per window
MAX_GAIN = 0.25  # of brightness and of each colour, as a share
MAX_MOVE = 0.04  # of the side
MAX_ROTATION = math.radians(4)
MAX_ZOOM = 0.06


def mirror(images: Tensor, draws: Tensor) -> Tensor:
    """Half of the windows mirrored. `[W, n, C, S, S]`, draws `[W, 1]`."""
    return torch.where(draws[..., None, None, None] < 0.5, images.flip(-1), images)


def mirror_and_light(images: Tensor, draws: Tensor) -> Tensor:
    """Half of the windows mirrored, all with other light. `[W, n, 3, S, S]` in -1..1, draws `[W, 5]`."""
    images = mirror(images, draws[:, :1])
    brightness, colours = draws[:, None, 1:, None, None].split((1, 3), 2)  # [W, 1, 1 or 3, 1, 1]
    gain = 1 + MAX_GAIN * (2 * brightness - 1)
    tint = 1 + MAX_GAIN / 2 * (2 * colours - 1)
    return (((images + 1) * gain * tint) - 1).clamp(-1, 1)


def misalign(images: Tensor, draws: Tensor) -> Tensor:
    """A small similarity transform for each window, as if the eyes had been found slightly off.

    `[W, n, C, H, W]`, draws `[W, 4]`.
    """
    w, n, c, height, width = images.shape
    most = torch.tensor((MAX_ROTATION, MAX_ZOOM, 2 * MAX_MOVE, 2 * MAX_MOVE))  # in grid units the side is 2
    angle, zoom, x, y = ((2 * draws - 1) * most).unbind(1)
    zoom = 1 + zoom
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    theta = torch.stack((torch.stack((cos, -sin, x), -1), torch.stack((sin, cos, y), -1)), -2)
    grid = F.affine_grid(theta, [w, c, height, width], align_corners=False).repeat_interleave(n, 0)
    moved = F.grid_sample(images.flatten(0, 1), grid, padding_mode="reflection", align_corners=False)
    return moved.view(w, n, c, height, width)
