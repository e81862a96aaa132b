"""Neck, shoulders and clothes: what carries the head."""

import cv2
import numpy as np

from avcat.synth.identity import Identity
from avcat.synth.paint import Grid, cover, display, layer, linear, noise, over, smoothstep
from avcat.synth.relief import Light, light_on

BOUNDS = (-3.4, 0.7, 3.4, 5.2)  # left, top, right, bottom


def paint_body(identity: Identity, light: Light, scale: float) -> tuple[Grid, np.ndarray]:
    """A grid and a premultiplied layer uint8 [H, W, 4] on it."""
    grid = Grid.around(*BOUNDS, scale)
    random = np.random.default_rng(identity.texture_seed + 3)
    x, y, side = grid.x, grid.y, np.abs(grid.x)
    neck = 0.62 * identity.jaw_width + 0.03 + 0.10 * smoothstep(1.9, 2.6, y)
    slope = identity.chin_y + 0.42 + 0.20 * np.clip(side - neck, 0, 9) ** 0.8 + 0.75 * np.clip(side - 1.75, 0, 9) ** 2
    skin_depth = np.maximum(neck - side, (y - slope) * 0.9)
    neckline = identity.chin_y + (0.62 if identity.collar else 0.78)
    dip = (0.55 if identity.collar else 0.28) * np.sqrt(np.clip(1 - (x / 0.8) ** 2, 0, 1))
    cloth_depth = np.minimum((y - slope + 0.05) * 0.9, y - neckline - dip + 0.55 * smoothstep(0.55, 0.95, side))
    z = 0.9 * np.sqrt(np.clip(1 - (side / (neck + 0.02)) ** 2, 0, 1)) * smoothstep(2.9, 2.2, y)
    chest = 1.1 * np.sqrt(np.clip(1 - (x / 3.2) ** 2, 0.02, 1))
    z = cv2.GaussianBlur(np.maximum(z * 0.6, chest - 0.62).astype(np.float32), (0, 0), 0.05 * scale)
    folds = 0.05 * noise(random, grid.height, grid.width, 0.22 * scale) * smoothstep(0, 0.3, cloth_depth)
    lit = light_on((z + folds).astype(np.float32), scale, light)
    under_chin = 1 - 0.55 * smoothstep(identity.chin_y + 0.50, identity.chin_y - 0.05, y) * smoothstep(1.1, 0.5, side)
    skin = display(linear(identity.skin) * lit * under_chin[..., None])
    weave = 1 + 0.05 * noise(random, grid.height, grid.width, 0.012 * scale)
    cloth = display(linear(identity.clothes) * lit * weave[..., None])
    edge = np.exp(-((np.clip(cloth_depth, 0, 9) / 0.05) ** 2))
    cloth = cloth * (1 - 0.25 * edge[..., None])
    colour = over(skin, cloth, cover(cloth_depth, 1.5 / scale))
    return grid, layer(colour, cover(np.maximum(skin_depth, cloth_depth), 1.5 / scale))
