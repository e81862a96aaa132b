"""Identity of a rendered person: all parameters that do not change from clip to clip."""

from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

from avcat.synth.paint import Colour

T = TypeVar("T")
HairStyle = Literal["bald", "buzz", "short", "side", "curly", "afro", "bob", "long", "tied"]
BeardStyle = Literal["none", "stubble", "moustache", "goatee", "full"]
GlassesStyle = Literal["none", "round", "square"]

SKINS: tuple[Colour, ...] = (
    (0.97, 0.82, 0.74), (0.95, 0.79, 0.68), (0.91, 0.73, 0.60), (0.86, 0.67, 0.52),
    (0.78, 0.58, 0.43), (0.68, 0.48, 0.34), (0.57, 0.39, 0.28), (0.46, 0.31, 0.23),
)  # fmt: skip
DARK_HAIR: tuple[Colour, ...] = ((0.09, 0.07, 0.06), (0.14, 0.10, 0.08), (0.22, 0.15, 0.10))
LIGHT_HAIR: tuple[Colour, ...] = (
    (0.34, 0.22, 0.13), (0.48, 0.31, 0.17), (0.68, 0.52, 0.31), (0.52, 0.24, 0.12), (0.60, 0.59, 0.58),
)  # fmt: skip
IRISES: tuple[Colour, ...] = ((0.24, 0.14, 0.08), (0.36, 0.22, 0.12), (0.30, 0.36, 0.22), (0.30, 0.45, 0.56))
FRAMES: tuple[Colour, ...] = ((0.08, 0.07, 0.07), (0.30, 0.18, 0.10), (0.55, 0.50, 0.42))  # of glasses
CLOTHES: tuple[Colour, ...] = (
    (0.16, 0.19, 0.26), (0.55, 0.16, 0.18), (0.82, 0.82, 0.80), (0.22, 0.36, 0.32),
    (0.24, 0.34, 0.55), (0.60, 0.50, 0.34), (0.12, 0.12, 0.13), (0.48, 0.38, 0.52),
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """Lengths are in units of the distance between the eyes; see `avcat.synth.paint` for the axes."""

    texture_seed: int  # of pores, freckles and strands
    skin: Colour
    ruddy: float
    freckles: float
    wrinkles: float
    temple_width: float  # half widths of the face
    cheek_width: float
    jaw_width: float
    chin_width: float
    chin_y: float
    eye_width: float  # half width of the opening between the lids
    eye_height: float
    eye_tilt: float
    iris: Colour
    brow_y: float
    brow_thickness: float
    brow_arch: float
    nose_width: float
    nose_y: float
    mouth_y: float
    mouth_width: float  # half width at rest
    upper_lip: float
    lower_lip: float
    bow: float
    smile: float
    lips: Colour
    tooth: float
    hair: HairStyle
    hair_colour: Colour
    hair_thickness: float
    hairline_y: float
    parting: float
    fringe: bool
    beard: BeardStyle
    glasses: GlassesStyle
    glasses_colour: Colour
    clothes: Colour
    collar: bool
    articulation: float  # how far this person opens the mouth


# Ranges of uniformly drawn lengths and shares; those that differ for men and women are in the second and third table.
_EVERYONE: dict[str, tuple[float, float]] = {
    "ruddy": (0.2, 1.0),
    "temple_width": (0.98, 1.08),
    "cheek_width": (1.04, 1.14),
    "eye_width": (0.215, 0.245),
    "eye_height": (0.090, 0.120),
    "eye_tilt": (-0.02, 0.10),
    "brow_y": (-0.40, -0.33),
    "brow_arch": (0.02, 0.09),
    "nose_width": (0.15, 0.21),
    "nose_y": (0.66, 0.74),
    "mouth_y": (1.08, 1.17),
    "mouth_width": (0.37, 0.43),
    "upper_lip": (0.080, 0.130),
    "lower_lip": (0.115, 0.170),
    "bow": (0.1, 0.5),
    "smile": (-0.01, 0.035),
    "tooth": (0.82, 0.95),
    "hair_thickness": (0.8, 1.3),
    "hairline_y": (-1.12, -0.95),
    "parting": (-0.5, 0.5),
    "articulation": (0.88, 1.12),
}
_WOMEN = {
    "jaw_width": (0.78, 0.90),
    "chin_width": (0.30, 0.40),
    "chin_y": (1.76, 1.94),
    "brow_thickness": (0.030, 0.048),
}
_MEN = {"jaw_width": (0.84, 0.96), "chin_width": (0.35, 0.45), "chin_y": (1.81, 1.99), "brow_thickness": (0.045, 0.075)}
_HAIR_OF_WOMEN = (0.0, 0.3, 1.0, 1.0, 1.0, 0.5, 2.5, 3.0, 2.0)  # relative frequencies of `HairStyle`
_HAIR_OF_MEN = (1.0, 1.5, 3.0, 3.0, 1.5, 0.7, 0.2, 0.5, 0.2)
_BEARDS_OF_MEN = (5.0, 2.0, 1.0, 1.0, 1.5)


def draw_identity(random: np.random.Generator, female: bool) -> Identity:
    """A person. The same generator state gives the same one."""
    ranges = {**_EVERYONE, **(_WOMEN if female else _MEN)}
    measures = {name: float(random.uniform(*ranges[name])) for name in sorted(ranges)}
    tone = float(random.uniform(0, len(SKINS) - 1))
    skin = _mix(SKINS, tone)
    dark = tone > 3.5 or random.random() < 0.4
    hair = _one_of(random, get_args(HairStyle), _HAIR_OF_WOMEN if female else _HAIR_OF_MEN)
    return Identity(
        **measures,
        texture_seed=int(random.integers(2**31)),
        skin=skin,
        freckles=float(random.uniform(0.4, 1.0)) if tone < 2 and random.random() < 0.3 else 0.0,
        wrinkles=float(random.random() ** 2),
        iris=IRISES[0] if tone > 4 else _one_of(random, IRISES),
        lips=_lips(random, skin, female),
        hair=hair,
        hair_colour=_one_of(random, DARK_HAIR if dark else LIGHT_HAIR),
        fringe=hair in ("bob", "long", "short") and bool(random.random() < 0.35),
        beard="none" if female else _one_of(random, get_args(BeardStyle), _BEARDS_OF_MEN),
        glasses=_one_of(random, get_args(GlassesStyle), (7.0, 1.5, 1.5)),
        glasses_colour=_one_of(random, FRAMES),
        clothes=_one_of(random, CLOTHES),
        collar=bool(random.random() < 0.5),
    )


def _one_of(random: np.random.Generator, options: tuple[T, ...], weights: tuple[float, ...] | None = None) -> T:
    chances = None if weights is None else np.array(weights) / sum(weights)
    return options[int(random.choice(len(options), p=chances))]


def _lips(random: np.random.Generator, skin: Colour, female: bool) -> Colour:
    """Redder than the skin, and redder still with make-up."""
    natural = np.array(skin) * (0.88, 0.62, 0.60)
    painted = np.array([random.uniform(0.62, 0.78), 0.20, random.uniform(0.22, 0.32)])
    share = random.uniform(0.10, 0.55) if female else random.uniform(0.0, 0.12)
    colour = natural + (painted - natural) * share
    return (float(colour[0]), float(colour[1]), float(colour[2]))


def _mix(palette: tuple[Colour, ...], position: float) -> Colour:
    low = min(int(position), len(palette) - 2)
    colour = np.array(palette[low]) + (position - low) * (np.array(palette[low + 1]) - palette[low])
    return (float(colour[0]), float(colour[1]), float(colour[2]))
