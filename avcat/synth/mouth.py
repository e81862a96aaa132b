"""Painting the mouth: lips, teeth, tongue and the dark behind them, over the skin of one frame."""

import cv2
import numpy as np

from avcat.synth.head import Head
from avcat.synth.identity import Identity
from avcat.synth.lips import Lips
from avcat.synth.paint import Grid, noise

CAVITY = (0.10, 0.035, 0.035)
TONGUE = (0.74, 0.36, 0.35)
TEETH_PITCH = 0.135  # width of a front tooth


class MouthPainter:
    """Paints poses of one head's mouth. Every pixel is shaded from the curves above and below it, so that edges are
    exact at any opening; there are no polygons."""

    def __init__(self, identity: Identity, head: Head) -> None:
        mouth = identity.mouth_y
        self.grid = Grid.around(-0.60, mouth - 0.30, 0.60, mouth + 0.66, head.grid.scale)
        self._where = self.grid.inside(head.grid)
        self._x, self._y = self.grid.x, self.grid.y
        soft = cv2.GaussianBlur(head.lit[self._where], (0, 0), 0.12 * head.grid.scale)
        self._light = np.sqrt(np.clip(soft, 0, 1.1)).astype(np.float32)  # colours below are as displayed
        self._lips = np.array(identity.lips, np.float32)
        self._tooth = identity.tooth * np.array([1.0, 0.965, 0.90], np.float32)
        self._teeth_y = mouth + 0.035  # edge of the upper teeth: they hang from the skull
        self._lower_teeth_y = mouth + 0.075  # edge of the lower teeth at rest: they go with the jaw
        random = np.random.default_rng(identity.texture_seed + 2)
        self._creases = 0.05 * noise(random, 1, 128, 1.0)[0]

    def paint(self, canvas: np.ndarray, lips: Lips, tongue: float) -> None:
        """Paints into `canvas` uint8 [H, W, 4], an opaque skin layer on the grid of the head. `tongue` 0..1."""
        patch = canvas[self._where][..., :3]
        curves = lips.curves(self._x)
        upper_outer, upper_inner, lower_inner, lower_outer = curves
        parts = (
            (self._inside(lips, tongue, upper_inner, lower_inner), self._between(upper_inner, lower_inner)),
            (self._lip(lips, upper_outer, upper_inner, upper=True), self._between(upper_outer, upper_inner)),
            (self._lip(lips, lower_inner, lower_outer, upper=False), self._between(lower_inner, lower_outer)),
        )
        result = patch * self._shadows(lips, curves)[..., None]
        for colour, alpha in parts:
            result += (colour - result) * alpha[..., None]
        np.clip(result, 0, 255, out=result)
        patch[...] = (result + 0.5).astype(np.uint8)

    def _between(self, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Coverage of each pixel by the band between two curves, exact for level edges."""
        scale = self.grid.scale
        top = np.maximum((above - self._y) * scale, -0.5)
        bottom = np.minimum((below - self._y) * scale, 0.5)
        return np.clip(bottom - top, 0, 1)

    def _lip(self, lips: Lips, top: np.ndarray, bottom: np.ndarray, *, upper: bool) -> np.ndarray:
        """Colour 0..255 of a lip: a rounded bar, lit from above, with creases and a wet highlight."""
        s = self._x / lips.half_width
        v = np.clip((self._y - top) / np.maximum(bottom - top, 1e-3), 0, 1)
        if upper:
            shade = 0.98 - 0.26 * v * v
            gloss = 0.05 * np.exp(-(((v - 0.35) / 0.2) ** 2) - (s / 0.5) ** 2)
        else:
            shade = 0.80 + 0.30 * np.sin(3.14 * np.clip(v + 0.12, 0, 1)) ** 0.8 - 0.12 * v
            gloss = 0.20 * np.exp(-(((v - 0.36) / 0.17) ** 2) - (s / 0.33) ** 2)
        crease = np.interp(s[0], np.linspace(-1, 1, 128), self._creases)[None]
        shade = shade * (1 + crease * (1 - (2 * v - 1) ** 2)) * (1 - 0.18 * s**4)
        colour = (shade[..., None] * self._lips + gloss[..., None]) * self._light
        return (colour * 255).astype(np.float32)

    def _inside(self, lips: Lips, tongue: float, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        """Colour 0..255 between the lips, from back to front: dark, tongue, lower and upper teeth."""
        x, y, scale = self._x, self._y, self.grid.scale
        s = x / lips.half_width
        depth = np.clip((y - top) / np.maximum(lips.gap, 0.03), 0, 1)
        colour = np.array(CAVITY, np.float32) * (0.75 + 0.6 * depth)[..., None]
        floor = lips.line_y + 0.62 * lips.gap
        tip = (floor - 0.10 * lips.gap) * (1 - tongue) + (self._teeth_y + 0.01) * tongue
        crown = tip + 0.9 * x**2
        lump = np.clip((y - crown) * scale * 0.6 + 0.5, 0, 1)
        roll = 0.62 + 0.38 * np.exp(-(((y - crown) / 0.07 - 0.6) ** 2)) - 0.10 * np.exp(-((x / 0.02) ** 2))
        colour += (np.array(TONGUE, np.float32) * (roll * (0.62 + 0.3 * tongue))[..., None] - colour) * lump[..., None]
        arch = np.clip(1.05 - 0.55 * s**2, 0.3, 1)
        lower_edge = self._lower_teeth_y + lips.jaw + 0.10 * x**2
        self._teeth(colour, x * 1.25, (y - lower_edge) * scale, arch * 0.74)
        upper_edge = self._teeth_y - 0.10 * x**2
        shadow = 0.60 + 0.40 * np.clip((y - top) / 0.06, 0, 1)
        self._teeth(colour, x, (upper_edge - y) * scale, arch * shadow)
        return colour * (self._light * 255)

    def _teeth(self, colour: np.ndarray, x: np.ndarray, depth_px: np.ndarray, shade: np.ndarray) -> None:
        """A row of teeth into `colour`: `depth_px` pixels inside the row's edge, dark lines between neighbours."""
        phase = np.cos(2 * np.pi * x / TEETH_PITCH)
        edge = depth_px + 0.012 * self.grid.scale * (0.5 - 0.5 * phase)
        seam = 1 - 0.13 * np.clip((-0.86 - phase) / 0.14 + 0.5, 0, 1)
        row = self._tooth * (shade * seam)[..., None]
        colour += (row - colour) * np.clip(edge + 0.5, 0, 1)[..., None]

    def _shadows(self, lips: Lips, curves: tuple[np.ndarray, ...]) -> np.ndarray:
        """Effects of the lips on the skin around: a shadow under the lower lip, dimples at the corners, a pale rim."""
        upper_outer, _, _, lower_outer = curves
        x, y = self._x, self._y
        body = np.clip(1 - (x / lips.half_width) ** 2, 0, 1)
        under = 0.20 * np.exp(-(((y - lower_outer - 0.05) / 0.05) ** 2)) * body
        rim = 0.05 * np.exp(-(((y - upper_outer + 0.018) / 0.016) ** 2)) * body
        corner_y = lips.line_y - lips.smile
        reach = ((np.abs(x) - lips.half_width - 0.01) / 0.05) ** 2 + ((y - corner_y) / 0.045) ** 2
        return 1 - under + rim - 0.18 * np.exp(-reach)
