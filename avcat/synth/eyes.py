"""Painting the eyes and the glasses in front of them."""

import functools

import cv2
import numpy as np

from avcat.synth.head import Head
from avcat.synth.identity import Identity
from avcat.synth.paint import Grid, bump, cover, layer, smoothstep

IRIS_RADIUS = 0.095
LID_STEPS = 16  # number of lid positions; each picture is cached
GAZE_STEPS = 24  # per unit


class EyePainter:
    """Paints the eyes of one head, lids anywhere between open and closed."""

    def __init__(self, identity: Identity, head: Head) -> None:
        self._identity = identity
        self.grid = Grid.around(-0.84, -0.24, 0.84, 0.20, head.grid.scale)
        self._where = self.grid.inside(head.grid)
        self._skin = head.skin[self._where][..., :3].astype(np.float32) / 255
        light = np.sqrt(cv2.GaussianBlur(head.lit[self._where], (0, 0), 0.1 * head.grid.scale))
        self._light = np.clip(light, 0, 1.05)
        self._picture = functools.lru_cache(maxsize=256)(self._paint)
        self.glasses = _glasses(identity, head.grid)  # premultiplied uint8 [H, W, 4] on the head's grid, or None

    def paint(self, canvas: np.ndarray, lids: float, gaze: tuple[float, float]) -> None:
        """Paints into `canvas` uint8 [H, W, 4] on the head's grid. `lids` 0 (closed) .. 1 (open); `gaze` in units."""
        step = round(np.clip(lids, 0, 1) * LID_STEPS)
        canvas[self._where][..., :3] = self._picture(step, round(gaze[0] * GAZE_STEPS), round(gaze[1] * GAZE_STEPS))

    def _paint(self, step: int, gaze_x: int, gaze_y: int) -> np.ndarray:
        picture = self._skin.copy()
        for sign in (-1.0, 1.0):
            self._eye(picture, sign, step / LID_STEPS, (gaze_x / GAZE_STEPS, gaze_y / GAZE_STEPS))
        return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)

    def _eye(self, picture: np.ndarray, sign: float, lids: float, gaze: tuple[float, float]) -> None:
        person, pixel = self._identity, 1 / self.grid.scale
        x, y = self.grid.x - 0.5 * sign, self.grid.y
        s = np.clip(sign * x / person.eye_width, -1.25, 1.25)  # -1 at the inner corner, 1 at the outer
        level = -0.5 * person.eye_tilt * s * person.eye_width / 0.23
        arc = np.clip(1 - s**2, 0, 1)
        below = level + 0.42 * person.eye_height * arc**0.9
        opened = level - person.eye_height * arc**0.72 * (1 - 0.10 * s)
        above = below + (opened - below) * lids
        within = np.abs(s) < 1
        ball = cover(y - above, pixel) * cover(below - y, pixel) * within
        self._mix(picture, self._eyeball(x, y, s, above, gaze), ball)
        crease = 0.30 * np.exp(-(((y - opened + 0.045 + 0.02 * (1 - lids)) / 0.014) ** 2)) * arc**0.5 * within
        self._mix(picture, (0.25, 0.14, 0.12), crease * (0.4 + 0.6 * lids))
        thick = 0.020 + 0.008 * (person.brow_thickness < 0.048)
        reach = smoothstep(1.18, 0.95, np.abs(s))
        lash = np.exp(-(((y - above + 0.4 * thick) / thick) ** 2)) * reach * (0.55 + 0.35 * smoothstep(-1, 0.6, s))
        self._mix(picture, (0.07, 0.045, 0.04), lash)
        rim = 0.35 * np.exp(-(((y - below - 0.008) / 0.012) ** 2)) * reach * within
        self._mix(picture, (0.45, 0.26, 0.23), rim)

    def _eyeball(
        self, x: np.ndarray, y: np.ndarray, s: np.ndarray, above: np.ndarray, gaze: tuple[float, float]
    ) -> np.ndarray:
        """Displayed colour [H, W, 3]: the white, shaded as a ball under a lid, iris, pupil and a catch light."""
        pixel = 1 / self.grid.scale
        lid_shadow = 1 - 0.42 * np.exp(-np.clip(y - above, 0, 1) / 0.035)
        round_shade = (1 - 0.28 * np.abs(s) ** 2.5) * lid_shadow
        white = np.array([0.93, 0.90, 0.88], np.float32) * round_shade[..., None]
        pink = smoothstep(-0.80, -0.97, s) * np.ones_like(y)
        white += (np.array([0.80, 0.50, 0.46], np.float32) - white) * pink[..., None]
        dx, dy = x - gaze[0], y + 0.012 - gaze[1]
        r = np.hypot(dx, dy) / IRIS_RADIUS
        tone = (0.75 + 0.55 * r**2 + 0.25 * np.clip(dy / IRIS_RADIUS, -1, 1)) * (1 - 0.65 * smoothstep(0.82, 1.0, r))
        iris = np.array(self._identity.iris, np.float32) * (tone * (0.6 + 0.4 * lid_shadow))[..., None]
        iris *= smoothstep(0.36, 0.46, r)[..., None]
        colour = white + (iris - white) * cover((1 - r) * IRIS_RADIUS, 1.5 * pixel)[..., None]
        colour = colour * self._light
        glint = np.clip(1.2 * bump(dx, dy, (-0.032, -0.035), 0.022, 0.022), 0, 0.95)
        return colour + (1 - colour) * glint[..., None]

    @staticmethod
    def _mix(picture: np.ndarray, colour: np.ndarray | tuple[float, float, float], alpha: np.ndarray) -> None:
        picture += (np.asarray(colour, np.float32) - picture) * alpha[..., None]


def _glasses(identity: Identity, grid: Grid) -> np.ndarray | None:
    if identity.glasses == "none":
        return None
    x, y, side = grid.x, grid.y, np.abs(grid.x)
    dx, dy = (side - 0.50) / 0.37, (y - 0.045) / (0.35 if identity.glasses == "round" else 0.27)
    power = 2.0 if identity.glasses == "round" else 4.5
    r = (np.abs(dx) ** power + np.abs(dy) ** power) ** (1 / power)
    rim = cover(0.020 - np.abs(r - 1) * 0.31, 1.5 / grid.scale)
    bridge = cover(0.018 - np.abs(y + 0.04 + 0.10 * (0.13 - side)), 1.5 / grid.scale) * (side < 0.15)
    temple = cover(0.020 - np.abs(y + 0.05), 1.5 / grid.scale) * (side > 0.86) * (side < identity.cheek_width + 0.02)
    frame = np.maximum(np.maximum(rim, bridge), temple)
    glare = 0.10 * smoothstep(0.10, 0.0, np.abs(dx * 0.7 + dy - 0.15 * np.sign(x))) * (r < 1)
    lens = np.where(r < 1, 0.04 + glare, 0)
    alpha = np.maximum(frame, lens)
    shine = 1 + 0.5 * bump(dx, dy, (0, -1.0), 0.5, 0.2)
    colour = np.where((frame > lens)[..., None], np.array(identity.glasses_colour) * shine[..., None], 0.92)
    return layer(colour.astype(np.float32), alpha.astype(np.float32))
