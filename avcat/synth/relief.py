"""The relief of a face: its outline, how far each point stands out, and the light that falls on it."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from avcat.synth.identity import Identity
from avcat.synth.paint import Grid, bump, smoothstep

SKULL_TOP = -1.55
EYES = ((-0.5, 0.0), (0.5, 0.0))


@dataclass(frozen=True)
class Light:
    """A key light from `direction` (x to the right, y down, z towards the viewer), a fill from everywhere."""

    direction: tuple[float, float, float]
    key: tuple[float, float, float]  # RGB, linear
    fill: tuple[float, float, float]


def half_width(identity: Identity, y: np.ndarray) -> np.ndarray:
    """Half the width of the face at height `y`, 0 above the skull and below the chin."""
    chin = identity.chin_y
    knots = (
        (SKULL_TOP, 0.0),
        (-1.36, 0.66 * identity.temple_width),
        (-1.00, 0.93 * identity.temple_width),
        (-0.35, identity.temple_width),
        (0.25, identity.cheek_width),
        (1.10, identity.jaw_width),
        (chin - 0.16, identity.chin_width + 0.10),
        (chin, 0.0),
    )
    squares = PchipInterpolator([k[0] for k in knots], [k[1] ** 2 for k in knots], extrapolate=False)
    return np.sqrt(np.maximum(np.nan_to_num(squares(y)), 0)).astype(np.float32)  # squares: round at both ends


def inside_depth(identity: Identity, grid: Grid) -> np.ndarray:
    """About how far a point lies inside the outline, float32 [H, W]; negative outside."""
    width = half_width(identity, grid.y)
    slope = np.gradient(width, 1 / grid.scale, axis=0)
    sideways = (width - np.abs(grid.x)) / np.sqrt(1 + np.clip(slope, -6, 6) ** 2)
    return np.minimum(sideways, np.minimum(identity.chin_y - grid.y, grid.y - SKULL_TOP)).astype(np.float32)


def turning_depth(identity: Identity, grid: Grid) -> np.ndarray:
    """How far a point moves when the head turns, float32 [H, W]: smooth, 1 at the face's front, 0 far outside."""
    across = grid.x / (1.25 * identity.cheek_width)
    along = (grid.y - 0.25) / 2.1
    dome = np.cos(np.clip(np.sqrt(across**2 + along**2), 0, 1) * 1.57) ** 1.2
    nose = 0.28 * bump(grid.x, grid.y, (0, identity.nose_y - 0.12), 0.26, 0.36)
    return (dome + nose).astype(np.float32)


def height(identity: Identity, grid: Grid) -> np.ndarray:
    """How far the skin stands out towards the viewer, float32 [H, W]."""
    x, y = grid.x, grid.y
    side = np.abs(x)
    u = np.clip(side / np.maximum(half_width(identity, y), 1e-3), 0, 1.03)  # it still falls off beyond the edge
    middle = (SKULL_TOP + identity.chin_y) / 2
    v = np.abs(y - middle) / (identity.chin_y - middle)
    z = 1.05 * np.sqrt((1 - 0.9 * u**2.4) * (1 - 0.7 * np.clip(v, 0, 1.05) ** 4))
    z = z + 0.055 * bump(side, y, (0.42, identity.brow_y + 0.02), 0.34, 0.12)  # brow ridge
    z = z - 0.15 * bump(side, y, (0.44, -0.03), 0.27, 0.16)  # eye sockets
    z = z + 0.085 * bump(side, y, (0.50, 0.0), 0.19, 0.13)  # eyeballs
    z = z - 0.02 * bump(side, y, (0.46, 0.23), 0.20, 0.05)  # under the eyes
    z = z + 0.07 * bump(side, y, (0.60, 0.46), 0.28, 0.24)  # cheeks
    z = z - 0.05 * bump(side, y, (0.74, 0.95), 0.20, 0.30)  # hollows
    return (z + _nose(identity, side, y) + _mouth_and_chin(identity, side, y)).astype(np.float32)


def _nose(identity: Identity, side: np.ndarray, y: np.ndarray) -> np.ndarray:
    tip, wide = identity.nose_y - 0.04, identity.nose_width
    along = smoothstep(-0.35, tip, y) ** 1.4 * smoothstep(tip + 0.19, tip - 0.01, y)
    ridge = (0.07 + 0.27 * along) * np.exp(-((side / (0.075 + 0.06 * along)) ** 2))
    ridge = ridge * smoothstep(-0.45, -0.15, y) * smoothstep(tip + 0.20, tip - 0.02, y)
    tip_ball = 0.09 * bump(side, y, (0, tip), 0.10, 0.085)
    wings = 0.11 * bump(side, y, (wide, tip + 0.035), 0.062, 0.075)
    return ridge + tip_ball + wings


def _mouth_and_chin(identity: Identity, side: np.ndarray, y: np.ndarray) -> np.ndarray:
    mouth, chin = identity.mouth_y, identity.chin_y
    mound = 0.10 * bump(side, y, (0, mouth), 0.40, 0.28)
    philtrum = -0.025 * bump(side, y, (0, mouth - 0.20), 0.035, 0.10) + 0.012 * bump(
        side, y, (0.065, mouth - 0.18), 0.03, 0.09
    )
    under_lip = -0.05 * bump(side, y, (0, mouth + 0.28), 0.24, 0.07)
    ball = 0.10 * bump(side, y, (0, chin - 0.20), 0.22, 0.15)
    bend = identity.nose_width + 0.03 + 0.30 * np.clip((y - identity.nose_y + 0.05) / 0.5, 0, 1.2) ** 0.9
    deep = 0.018 + 0.022 * identity.wrinkles
    fold = (
        np.exp(-(((side - bend) / 0.045) ** 2)) * smoothstep(0.60, 0.75, y) * smoothstep(mouth + 0.10, mouth - 0.12, y)
    )
    return mound + philtrum + under_lip + ball - deep * fold


def light_on(z: np.ndarray, scale: float, light: Light) -> np.ndarray:
    """The light on a relief, linear float32 [H, W, 3]: a soft key, the fill, and less of both in hollows."""
    dx = cv2.Sobel(z, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8)
    dy = cv2.Sobel(z, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8)
    normal_z = 1 / np.sqrt(1 + dx * dx + dy * dy)
    direction = np.array(light.direction, np.float32) / np.linalg.norm(light.direction)
    facing = (direction[2] - direction[0] * dx - direction[1] * dy) * normal_z
    wrapped = np.clip((facing + 0.25) / 1.25, 0, 1)
    hollow = cv2.GaussianBlur(z, (0, 0), 0.10 * scale) - z
    open_sky = np.clip(1 - 3.2 * hollow, 0.45, 1.15)[..., None]
    # Blood scatters red light past the edge of the shadow: red falls off later than blue.
    diffuse = np.stack([wrapped**0.85, wrapped, wrapped**1.08], axis=2)
    half = direction + np.array([0, 0, 1], np.float32)
    half = half / np.linalg.norm(half)
    gloss = np.clip((half[2] - half[0] * dx - half[1] * dy) * normal_z, 0, 1) ** 28
    key = np.array(light.key, np.float32)
    fill = np.array(light.fill, np.float32) * (0.65 + 0.35 * normal_z[..., None])
    return ((diffuse * key + fill) * open_sky + 0.10 * gloss[..., None] * key).astype(np.float32)
