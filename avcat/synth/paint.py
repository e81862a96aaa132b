"""Drawing primitives: soft edges, smooth noise, colours, layers that are blended.

Drawing is in units of the distance between the eyes, origin midway between them, x to the right, y down. A `Grid` maps
pixels to these units. Colours are RGB in 0..1 as displayed; light is multiplied after `linear` and converted back by
`display` (gamma 2; the inverse is a square root).
"""

from dataclasses import dataclass

import cv2
import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A rectangle of pixels: `scale` pixels per unit, the centre of the top left pixel at (`left`, `top`)."""

    left: float
    top: float
    width: int
    height: int
    scale: float

    @classmethod
    def around(cls, left: float, top: float, right: float, bottom: float, scale: float) -> "Grid":
        """The grid with pixels at multiples of 1 / `scale`, so that grids of one scale are aligned."""
        x0, y0 = int(np.floor(left * scale)), int(np.floor(top * scale))
        x1, y1 = int(np.ceil(right * scale)), int(np.ceil(bottom * scale))
        return cls(x0 / scale, y0 / scale, x1 - x0 + 1, y1 - y0 + 1, scale)

    @property
    def x(self) -> np.ndarray:
        """float32 [1, width]."""
        return (self.left + np.arange(self.width, dtype=np.float32) / self.scale).astype(np.float32)[None]

    @property
    def y(self) -> np.ndarray:
        """float32 [height, 1]."""
        return (self.top + np.arange(self.height, dtype=np.float32) / self.scale).astype(np.float32)[:, None]

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 2] in units to pixels of this grid."""
        return (np.asarray(points) - (self.left, self.top)) * self.scale

    def inside(self, outer: "Grid") -> tuple[slice, slice]:
        """Where this grid lies in the arrays of `outer`, which has the same scale and contains it."""
        column, row = (round((a - b) * self.scale) for a, b in ((self.left, outer.left), (self.top, outer.top)))
        assert 0 <= row <= outer.height - self.height
        assert 0 <= column <= outer.width - self.width
        return slice(row, row + self.height), slice(column, column + self.width)


def cover(depth: np.ndarray, softness: float | np.ndarray) -> np.ndarray:
    """How much of a pixel is covered, 0..1, `depth` inside an edge that is `softness` wide (both in units)."""
    return np.clip(depth / softness + 0.5, 0, 1)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; falling if `low` > `high`."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float], width: float, height: float) -> np.ndarray:
    """A Gaussian of height 1."""
    return np.exp(-(((x - at[0]) / width) ** 2) - ((y - at[1]) / height) ** 2)


def noise(random: np.random.Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """Smooth noise float32 [height, width] of mean about 0 and standard deviation 1, features `sigma` pixels wide."""
    coarse = max(1.0, sigma / 2)
    shape = (int(height / coarse) + 3, int(width / coarse) + 3)
    field: np.ndarray = random.standard_normal(shape).astype(np.float32)
    if sigma > 0.3:
        field = cv2.GaussianBlur(field, (0, 0), sigma / coarse)
    field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) if coarse > 1 else field[:height, :width]
    return np.asarray(field / field.std(), np.float32)


def linear(colour: Colour | np.ndarray) -> np.ndarray:
    """Displayed colour to linear light."""
    return np.square(np.asarray(colour, np.float32))


def display(light: np.ndarray) -> np.ndarray:
    """Linear light to displayed colour 0..1; soft roll-off above 0.8 for values brighter than white."""
    shown = np.sqrt(np.maximum(light, 0))
    return np.where(shown > 0.8, 1 - 0.2 * np.exp(-(shown - 0.8) / 0.2), shown).astype(np.float32)


def over(picture: np.ndarray, colour: np.ndarray | Colour, alpha: np.ndarray) -> np.ndarray:
    """`colour` composited over `picture` float32 [H, W, 3] by `alpha` [H, W]."""
    return picture + (np.asarray(colour, np.float32) - picture) * alpha[..., None]


def layer(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 4]: premultiplied, so that it can be warped and blended without a fringe."""
    alpha = np.clip(alpha, 0, 1)[..., None]
    return np.rint(np.concatenate([np.clip(colour, 0, 1) * alpha, alpha], axis=2) * 255).astype(np.uint8)


def blend(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """A premultiplied layer uint8 [H, W, 4] over a picture uint8 [H, W, 3]."""
    hidden = cv2.bitwise_not(above[..., 3])
    rest = cv2.multiply(below, cv2.merge([hidden, hidden, hidden]), scale=1 / 255)
    return cv2.add(rest, cv2.cvtColor(above, cv2.COLOR_RGBA2RGB))


def shown_through(above: np.ndarray) -> np.ndarray:
    """255 - alpha of a premultiplied layer, uint8 [H, W, 4], for `stack`."""
    return np.repeat(255 - above[..., 3:], 4, axis=2)


def stack(below: np.ndarray, above: np.ndarray, through: np.ndarray) -> np.ndarray:
    """Two premultiplied layers as one; `through` is `shown_through(above)`, computed once for a constant layer."""
    return cv2.add(cv2.multiply(below, through, scale=1 / 255), above)
