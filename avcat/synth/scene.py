"""The scene around a speaker: camera, background, light and sensor."""

from dataclasses import dataclass

import cv2
import numpy as np

from avcat.synth.motion import Pose
from avcat.synth.paint import noise
from avcat.synth.relief import Light

TURN = 0.55  # units that the front of the face (depth 1) moves for a turn of 90 degrees


@dataclass(frozen=True)
class Camera:
    """`eyes` is the position of the point between the eyes at rest, in pixels."""

    width: int
    height: int
    eye_distance_px: float
    eyes: tuple[float, float]

    def matrix(self, pose: Pose) -> np.ndarray:
        """float64 [2, 3]: from units of the head to pixels (a turn is not in it: see `turned`)."""
        unit = self.eye_distance_px * pose.zoom
        c, s = unit * np.cos(pose.roll), unit * np.sin(pose.roll)
        x = self.eyes[0] + pose.shift[0] * self.eye_distance_px
        y = self.eyes[1] + pose.shift[1] * self.eye_distance_px
        return np.array([[c, -s, x], [s, c, y]])

    def body_matrix(self, pose: Pose) -> np.ndarray:
        """float64 [2, 3]: the body moves half as far as the head and does not tilt."""
        unit = self.eye_distance_px * (1 + 0.5 * (pose.zoom - 1))
        x = self.eyes[0] + 0.5 * pose.shift[0] * self.eye_distance_px
        y = self.eyes[1] + 0.5 * pose.shift[1] * self.eye_distance_px
        return np.array([[unit, 0, x], [0, unit, y]])


def turn(pose: Pose) -> np.ndarray:
    """float64 [2]: how far (units) a point of depth 1 moves with yaw and pitch."""
    return TURN * np.sin([pose.yaw, pose.pitch])


def draw_light(random: np.random.Generator, wild: bool) -> Light:
    """A key light from above, anywhere from the left to the right if `wild`, with a warm or cool tint."""
    sideways = random.uniform(-0.9, 0.9) if wild else random.uniform(-0.4, 0.4)
    warmth = random.uniform(-0.10, 0.12) if wild else random.uniform(-0.03, 0.05)
    level = random.uniform(0.62, 0.98) if wild else random.uniform(0.80, 0.92)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    fill = random.uniform(0.16, 0.40) if wild else random.uniform(0.28, 0.36)
    key = tuple(float(v) for v in level * tint)
    return Light(
        direction=(float(sideways), float(random.uniform(-0.75, -0.35)), 1.0),
        key=key,  # type: ignore[arg-type]
        fill=tuple(float(v) for v in fill * (2 - tint) * np.array([0.96, 1.0, 1.06])),  # type: ignore[arg-type]
    )


def paint_background(random: np.random.Generator, width: int, height: int, wild: bool) -> np.ndarray:
    """uint8 [height, width, 3], out of focus: a studio wall, or a room with shapes and lamps if `wild`."""
    hue = random.uniform(0, 180)
    saturation, value = random.uniform(8, 70 if wild else 50), random.uniform(60, 215)
    top = cv2.cvtColor(np.array([[[hue, saturation, value]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    ramp = np.linspace(1.08, 0.78, height, dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    picture = np.ascontiguousarray(top * ramp * (1 + random.uniform(-0.2, 0.2) * across), np.float32)
    if wild:
        _furnish(random, picture)
    picture += 2.5 * noise(random, height, width, 0.06 * width)[..., None]
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _furnish(random: np.random.Generator, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    for _ in range(int(random.integers(3, 9))):
        corner = (random.uniform(-0.2, 1.0, 2) * (width, height)).astype(int)
        size = (random.uniform(0.1, 0.5, 2) * (width, height)).astype(int)
        colour = picture.mean(axis=(0, 1)) * random.uniform(0.4, 1.5) + random.uniform(-25, 25, 3)
        cv2.rectangle(picture, corner.tolist(), (corner + size).tolist(), colour.tolist(), -1)
    blur = random.uniform(0.015, 0.05) * width
    picture[...] = cv2.GaussianBlur(picture, (0, 0), blur)
    for _ in range(int(random.integers(0, 7))):
        centre = (random.uniform(0, 1, 2) * (width, 0.7 * height)).astype(int)
        lamp = np.zeros(picture.shape[:2], np.uint8)
        cv2.circle(lamp, centre.tolist(), int(random.uniform(0.02, 0.06) * width), (255,), -1, cv2.LINE_AA)
        glow = cv2.GaussianBlur(lamp, (0, 0), 1.5)[..., None] / np.float32(255) * np.float32(random.uniform(0.2, 0.6))
        picture += (np.array([255, 235, 200], np.float32) - picture) * glow


class Sensor:
    """Effects of the camera: drifting exposure, and noise."""

    def __init__(self, random: np.random.Generator, width: int, height: int, wild: bool) -> None:
        sigma = random.uniform(0.5, 3.5) if wild else random.uniform(0.3, 1.0)
        grain = random.standard_normal((height + 64, width + 64, 1)) * sigma
        colour = random.standard_normal((height + 64, width + 64, 3)) * sigma * 0.4
        self._grain = np.rint(grain + colour).astype(np.int16)
        self._drift = random.uniform(0.0, 0.08) if wild else 0.01
        self._rate_hz, self._phase = random.uniform(0.1, 0.7), random.uniform(0, 2 * np.pi)
        self._offsets = random.integers(0, 64, (977, 2))

    def expose(self, picture: np.ndarray, frame: int, time_s: float) -> np.ndarray:
        """uint8 [H, W, 3] as recorded."""
        gain = 1 + self._drift * np.sin(2 * np.pi * self._rate_hz * time_s + self._phase)
        row, column = self._offsets[frame % len(self._offsets)]
        height, width = picture.shape[:2]
        grain = self._grain[row : row + height, column : column + width]
        lit = cv2.convertScaleAbs(picture, alpha=gain)
        return cv2.add(lit, grain, dtype=cv2.CV_8U)
