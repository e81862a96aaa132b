"""How skin moves: with the jaw, with the corners of the mouth, with the brows.

Movements are maps from a pixel's position to the position its colour comes from, as for `cv2.remap`. Both regions are
small parts of the head, so a frame takes a few tenths of a millisecond.
"""

import cv2
import numpy as np

from avcat.synth.head import Head
from avcat.synth.identity import Identity
from avcat.synth.lips import UPPER_SHARE, Lips
from avcat.synth.paint import Grid, bump, smoothstep


class SkinMover:
    """Moves the skin of one head."""

    def __init__(self, identity: Identity, head: Head) -> None:
        self._head, self._identity = head, identity
        mouth, grid = identity.mouth_y, head.grid
        self._lower = Grid.around(-1.25, 0.80, 1.25, identity.chin_y + 0.45, grid.scale)
        x, y = self._lower.x, self._lower.y
        self._jaw = smoothstep(mouth - 0.05, mouth + 0.50, y) * (1 - 0.6 * smoothstep(0.35, 1.15, np.abs(x)))
        self._lift = bump(x, y, (0, mouth - 0.06), 0.42, 0.13)
        self._corner = (x / identity.mouth_width) * bump(x, y, (0, mouth), 0.62, 0.26)
        self._upper = Grid.around(-1.0, -0.80, 1.0, -0.14, grid.scale)
        x, y = self._upper.x, self._upper.y
        self._brow = smoothstep(-0.80, -0.48, y) * smoothstep(-0.14, -0.30, y) * smoothstep(1.0, 0.75, np.abs(x))

    def move(self, canvas: np.ndarray, lips: Lips, brow: float) -> None:
        """Draws the moved skin into `canvas` uint8 [H, W, 4] on the head's grid. `brow`: how far brows are raised."""
        down = lips.jaw * self._jaw - UPPER_SHARE * lips.gap * self._lift
        outwards = (lips.half_width - self._identity.mouth_width) * self._corner
        self._warp(canvas, self._lower, outwards, down)
        if abs(brow) > 0.002:
            self._warp(canvas, self._upper, None, -brow * self._brow)

    def _warp(self, canvas: np.ndarray, region: Grid, right: np.ndarray | None, down: np.ndarray) -> None:
        rows, columns = region.inside(self._head.grid)
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        map_x = np.broadcast_to(x, down.shape) if right is None else x - right * region.scale
        map_y = y - down * region.scale
        moved = cv2.remap(self._head.skin, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
        canvas[rows, columns] = moved
