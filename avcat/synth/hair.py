"""Hair: where it grows and how its strands catch the light."""

import cv2
import numpy as np

from avcat.synth.identity import Identity
from avcat.synth.paint import Colour, Grid, cover, linear, noise, smoothstep
from avcat.synth.relief import SKULL_TOP, Light, half_width

CROWN_Y = -2.1  # strands run away from a point above the head
AFRO = (-0.62, 1.45)  # centre and radius of a round head of hair
# How far hair stands off the skull at the top and at the sides, and how far down the sides it goes.
SHAPES: dict[str, tuple[float, float, float]] = {
    "bald": (0.0, 0.0, 0.0),
    "buzz": (0.04, 0.03, 0.10),
    "short": (0.15, 0.06, 0.15),
    "side": (0.20, 0.07, 0.20),
    "curly": (0.26, 0.14, 0.20),
    "afro": (0.46, 0.40, 0.50),
    "bob": (0.17, 0.20, 1.15),
    "long": (0.17, 0.22, 2.35),
    "tied": (0.10, 0.05, 0.05),
}
CURTAINS = ("bob", "long")
CLUMPS = ("curly", "afro")


def paint_hair(identity: Identity, grid: Grid, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Displayed colour float32 [H, W, 3] and alpha float32 [H, W]."""
    random = np.random.default_rng(identity.texture_seed + 1)
    if identity.hair == "bald":
        return np.zeros((grid.height, grid.width, 3), np.float32), np.zeros((grid.height, grid.width), np.float32)
    strands = _strands(identity, grid, random)
    alpha = _where(identity, grid, random, strands)
    return _shine(identity, grid, light, strands), alpha


def _where(identity: Identity, grid: Grid, random: np.random.Generator, strands: np.ndarray) -> np.ndarray:
    ragged = 0.025 if identity.hair in CLUMPS else 0.012
    rough = ragged * noise(random, grid.height, grid.width, 0.06 * grid.scale) + 0.012 * strands
    softness = 0.10 if identity.hair == "buzz" else 0.05
    around = cover(_outer_depth(identity, grid) + rough, 0.035)
    on_skin = cover(_front_depth(identity, grid) + rough, softness)
    if identity.hair == "buzz":
        on_skin = on_skin * np.clip(0.72 + 0.12 * strands, 0, 1)
    return (around * on_skin).astype(np.float32)


def _outer_depth(identity: Identity, grid: Grid) -> np.ndarray:
    """How far inside the outer outline of the hair."""
    top, side, length = SHAPES[identity.hair]
    top, side = top * identity.hair_thickness, side * identity.hair_thickness
    x, y = grid.x, grid.y
    lifted = SKULL_TOP - top
    squeeze = (y - lifted) / (0.1 - lifted) * (0.1 - SKULL_TOP) + SKULL_TOP  # the skull's outline, stretched upwards
    width = half_width(identity, np.minimum(squeeze, 0.1))
    stands_off = side * smoothstep(lifted, -0.6, y)
    width = np.where(y < 0.1, width, half_width(identity, np.array(0.1))) + stands_off
    if identity.hair in CURTAINS:
        width = width + 0.05 * np.sin(3.1 * y + identity.parting * 6) * smoothstep(0, 1, y)
    depth = np.minimum(width - np.abs(x), (y - lifted) * 1.5)
    depth = np.minimum(depth, length - y + 0.06 * np.cos(7 * x))
    if identity.hair == "tied":
        depth = np.maximum(depth, 0.30 - np.hypot(x, (y - SKULL_TOP + 0.22) * 1.1))
    if identity.hair == "afro":
        depth = AFRO[1] * (0.9 + 0.1 * identity.hair_thickness) - np.hypot(x, y - AFRO[0])
    return depth


def _front_depth(identity: Identity, grid: Grid) -> np.ndarray:
    """How far above the hairline, or outside the sides of the face."""
    x, y = grid.x, grid.y
    line = identity.hairline_y + 0.16 * (x / 0.9) ** 2
    if identity.fringe:
        line = line + 0.42 - 0.10 * np.abs(x - 0.3 * identity.parting)
    elif identity.hair in ("side", "long", "bob"):
        line = line + 0.10 * np.tanh(4 * (x - identity.parting)) * np.sign(identity.parting + 1e-6)
    edge = half_width(identity, np.clip(y, -1.2, identity.chin_y - 0.02))
    covered = 0.10 if identity.hair in CURTAINS else 0.07
    rise = smoothstep(-0.9, -0.2, y) * 0.16  # temples: the line comes down in a curve
    sides = np.abs(x) - (edge - covered - 0.16 + rise)
    if identity.hair in CURTAINS:
        hang = smoothstep(0.5, 1.3, y)
        sides = sides * (1 - hang) + (np.abs(x) - (0.90 + 0.08 * np.sin(2.3 * y))) * hang
    return np.maximum(line - y, sides)


def _strands(identity: Identity, grid: Grid, random: np.random.Generator) -> np.ndarray:
    """float32 [H, W] of standard deviation about 1: streaks from the crown, or clumps."""
    if identity.hair in CLUMPS or identity.hair == "buzz":
        size = {"curly": 0.045, "afro": 0.030, "buzz": 0.012}[identity.hair]
        return noise(random, grid.height, grid.width, size * grid.scale)
    dx, dy = grid.x - 0.5 * identity.parting, grid.y - (CROWN_Y if identity.hair != "tied" else SKULL_TOP - 0.1)
    angle, radius = np.arctan2(dx, dy), np.hypot(dx, dy)
    if identity.hair in CURTAINS:  # below the ears strands hang straight down
        hang = smoothstep(-0.6, 0.6, grid.y)
        angle = angle * (1 - hang) + (grid.x * 1.1 + 0.06 * np.sin(4 * grid.y)) * hang
    streaks = 0.6 * noise(random, 40, 512, 1.0) + 0.6 * noise(random, 40, 512, 4.0)
    column = ((angle / np.pi + 1) * 256 + 4 * np.sin(radius * 5)).astype(np.float32)
    row = np.clip(radius * 8, 0, 38).astype(np.float32)
    return cv2.remap(streaks, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _shine(identity: Identity, grid: Grid, light: Light, strands: np.ndarray) -> np.ndarray:
    """Colour of the hair: darker between strands, a band of shine where the head curves towards the light."""
    x, y = grid.x, grid.y
    direction = np.array(light.direction) / np.linalg.norm(light.direction)
    across, along = x / 1.35, (y + 0.4) / 1.6
    towards = np.clip(0.35 + 0.65 * np.sqrt(np.clip(1 - across**2 - np.clip(along, -1, 0.3) ** 2, 0, 1)), 0, 1)
    lit = np.clip(towards + 0.35 * (direction[0] * across + direction[1] * np.clip(along, -1, 0.6)), 0.12, 1.3)
    band = np.exp(-(((y + 1.05 - 0.25 * across**2) / 0.16) ** 2)) * (0.6 + 0.4 * np.clip(strands, -1, 1))
    colour: Colour = identity.hair_colour
    base = linear(colour)[None, None] * np.clip(1 + 0.30 * strands, 0.35, 1.9)[..., None]
    key, fill = np.array(light.key, np.float32), np.array(light.fill, np.float32)
    shine = (0.015 + 0.10 * linear(colour)) * (band * np.clip(towards, 0, 1))[..., None] * 2.0
    lighting = lit[..., None] * key + fill
    return np.sqrt(np.clip((base + shine) * lighting, 0, 1)).astype(np.float32)
