"""The head without its moving parts: skin, ears, nostrils, brows, beard and hair, painted once per clip."""

from dataclasses import dataclass

import cv2
import numpy as np

from avcat.synth.hair import paint_hair
from avcat.synth.identity import Identity
from avcat.synth.paint import Grid, bump, cover, display, layer, linear, noise, over, smoothstep
from avcat.synth.relief import Light, height, inside_depth, light_on, turning_depth

BOUNDS = (-1.75, -2.25, 1.75, 2.55)  # left, top, right, bottom


@dataclass(frozen=True)
class Head:
    """`skin` uint8 [H, W, 4] premultiplied, everything below eyes, mouth and hair; `front` the hair over it;
    `lit` float32 [H, W, 3] the light on the skin (linear); `turning` float32 [H, W] see `turning_depth`."""

    grid: Grid
    skin: np.ndarray
    front: np.ndarray
    lit: np.ndarray
    turning: np.ndarray


def paint_head(identity: Identity, light: Light, scale: float) -> Head:
    """Paints the head at `scale` pixels per unit (about 0.1 s at 64)."""
    grid = Grid.around(*BOUNDS, scale)
    random = np.random.default_rng(identity.texture_seed)
    lit = light_on(height(identity, grid), scale, light)
    lit = lit * _shadow_of_hair(identity, grid)[..., None]
    albedo = _skin(identity, grid, random)
    colour = display(albedo * lit)
    colour = _brows(identity, grid, random, colour, lit)
    colour = _beard(identity, grid, random, colour, lit)
    face = cover(inside_depth(identity, grid), 1.5 / scale)
    ears, ear = _ears(identity, grid, light)
    skin = layer(over(colour, ears, ear * (1 - face)), np.maximum(face, ear))
    hair, hair_alpha = paint_hair(identity, grid, light)
    return Head(grid, skin, layer(hair, hair_alpha), lit, turning_depth(identity, grid))


def _skin(identity: Identity, grid: Grid, random: np.random.Generator) -> np.ndarray:
    """Linear albedo [H, W, 3]: tone, redness, mottling, pores, freckles, nostrils; stubble's shade is added later."""
    x, y, side = grid.x, grid.y, np.abs(grid.x)
    h, w = grid.height, grid.width
    tone = np.broadcast_to(linear(identity.skin), (h, w, 3))
    mottled = 0.045 * noise(random, h, w, 0.14 * grid.scale) + 0.035 * noise(random, h, w, 0.012 * grid.scale)
    red = bump(side, y, (0.62, 0.50), 0.26, 0.22) + 0.8 * bump(x, y, (0, identity.nose_y - 0.05), 0.14, 0.12)
    red = identity.ruddy * (red + 0.3 * bump(x, y, (0, identity.chin_y - 0.2), 0.2, 0.12))
    tone = tone * (1 + mottled[..., None]) * (1 - red[..., None] * np.array([0.02, 0.16, 0.15], np.float32))
    circles = bump(side, y, (0.46, 0.17), 0.20, 0.07) * (0.10 + 0.12 * identity.wrinkles)
    tone = tone * (1 - circles[..., None] * np.array([0.8, 1.0, 0.8], np.float32))
    if identity.freckles:
        spots = smoothstep(1.3, 2.2, noise(random, h, w, 0.016 * grid.scale)) * bump(side, y, (0.35, 0.42), 0.5, 0.3)
        tone = tone * (1 - identity.freckles * spots[..., None] * np.array([0.25, 0.45, 0.5], np.float32))
    nostril = bump(side, y, (0.52 * identity.nose_width, identity.nose_y + 0.045), 0.050, 0.026)
    seam = 0.12 * bump(side, y, (0, identity.nose_y + 0.075), 0.14, 0.025)
    return tone * (1 - np.clip(0.82 * nostril + seam, 0, 0.85))[..., None] * np.array([1, 0.97, 0.97], np.float32)


def _shadow_of_hair(identity: Identity, grid: Grid) -> np.ndarray:
    if identity.hair in ("bald", "buzz"):
        return np.ones((grid.height, grid.width), np.float32)
    line = identity.hairline_y + (0.42 if identity.fringe else 0.0) + 0.16 * grid.x**2
    return (1 - 0.35 * smoothstep(0.24, 0.0, grid.y - line)).astype(np.float32)


def _brows(
    identity: Identity, grid: Grid, random: np.random.Generator, colour: np.ndarray, lit: np.ndarray
) -> np.ndarray:
    """Hairs along an arch, thick at the inner end and thin at the outer one."""
    alpha: np.ndarray = np.zeros((grid.height, grid.width), np.uint8)
    for sign in (-1, 1):
        s = random.uniform(0, 1, 200)
        thickness = identity.brow_thickness * (1 - 0.65 * s**1.5) * (0.55 + 0.45 * np.clip(s / 0.15, 0, 1))
        at = np.stack([sign * (0.20 + 0.60 * s), _brow_line(identity, s)], axis=1)
        at[:, 1] += thickness * random.uniform(-1, 1, len(s)) * 0.8
        lean = 0.9 - 1.1 * s + random.normal(0, 0.15, len(s))
        tip = at + 0.075 * np.stack([sign * np.cos(lean), -np.sin(lean)], axis=1)
        ends = np.rint(np.stack([grid.pixels(at), grid.pixels(tip)], axis=1) * 16).astype(np.int32)
        cv2.polylines(alpha, list(ends), False, (255,), 1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(alpha, (0, 0), 0.012 * grid.scale).astype(np.float32) / 255
    pigment = linear(identity.hair_colour) * 0.55 + linear((0.10, 0.07, 0.06)) * 0.45
    return over(colour, display(pigment * np.maximum(lit, 0.3)), np.clip(soft * 1.05, 0, 0.82))


def _brow_line(identity: Identity, s: np.ndarray) -> np.ndarray:
    return identity.brow_y + 0.03 - identity.brow_arch * np.sin(np.clip(s / 0.65, 0, 1.4) * np.pi / 2) * 1.2


def _beard(
    identity: Identity, grid: Grid, random: np.random.Generator, colour: np.ndarray, lit: np.ndarray
) -> np.ndarray:
    if identity.beard == "none":
        return colour
    x, y, side = grid.x, grid.y, np.abs(grid.x)
    mouth, chin = identity.mouth_y, identity.chin_y
    above = bump(side, y, (0.16, mouth - 0.17), 0.26, 0.075)
    below = bump(x, y, (0, chin - 0.14), 0.30, 0.20) + bump(side, y, (0.40, mouth + 0.15), 0.09, 0.30)
    line = 0.72 + 0.55 * np.clip(1 - side / 0.95, 0, 1)  # cheeks are free above it
    jaw = smoothstep(line, line + 0.28, y) * smoothstep(
        0.10, 0.34, np.abs(y - mouth) + 0.9 * np.clip(side - 0.42, 0, 1)
    )
    where = {
        "moustache": 1.5 * above,
        "goatee": np.maximum(1.3 * above, 1.2 * below),
        "full": np.maximum(1.2 * above, jaw),
        "stubble": 0.45 * np.maximum(above, jaw),
    }[identity.beard]
    grain = noise(random, grid.height, grid.width, 0.010 * grid.scale)
    grain = grain + 0.5 * noise(random, grid.height, grid.width, 0.03 * grid.scale)
    density = np.clip(where, 0, 1) * np.clip(0.80 + 0.16 * grain, 0, 1)
    pigment = linear(identity.hair_colour) * np.clip(1 + 0.35 * grain, 0.4, 2)[..., None]
    return over(colour, display(pigment * lit), np.clip(density, 0, 0.93))


def _ears(identity: Identity, grid: Grid, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Two ears seen from the front; displayed colour and alpha."""
    side, y = np.abs(grid.x), grid.y
    at = identity.cheek_width + 0.03
    r = np.hypot((side - at - 0.05 * (0.3 - y)) / 0.13, (y - 0.16) / 0.32)
    fold = 0.55 + 0.45 * smoothstep(0.25, 0.75, r) - 0.35 * smoothstep(0.80, 1.0, r)
    towards = 0.5 + 0.4 * np.sign(grid.x) * light.direction[0] / np.linalg.norm(light.direction)
    lit = np.array(light.key, np.float32) * towards[..., None] + np.array(light.fill, np.float32)
    tone = linear(identity.skin) * np.array([1.0, 0.82, 0.80], np.float32)
    return display(tone * lit * fold[..., None]), cover((1 - r) * 0.13, 1.5 / grid.scale).astype(np.float32)
