"""Who a rendered person is: every number that does not change from clip to clip."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from avcat.synth.paint import Colour

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


def draw_identity(random: np.random.Generator, female: bool) -> Identity:
    """A person. The same generator state gives the same one."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    def one_of(options: tuple, weights: tuple[float, ...] | None = None) -> object:
        chances = None if weights is None else np.array(weights) / sum(weights)
        return options[int(random.choice(len(options), p=chances))]

    tone = between(0, len(SKINS) - 1)
    skin = _mix(SKINS, tone)
    dark = tone > 3.5 or random.random() < 0.4
    hair_colour = one_of(DARK_HAIR if dark else LIGHT_HAIR)
    styles: tuple[HairStyle, ...] = ("bald", "buzz", "short", "side", "curly", "afro", "bob", "long", "tied")
    hair = one_of(styles, (0, 0.3, 1, 1, 1, 0.5, 2.5, 3, 2) if female else (1, 1.5, 3, 3, 1.5, 0.7, 0.2, 0.5, 0.2))
    beards: tuple[BeardStyle, ...] = ("none", "stubble", "moustache", "goatee", "full")
    beard = one_of(beards, (1, 0, 0, 0, 0) if female else (5, 2, 1, 1, 1.5))
    make_up = between(0.1, 0.55) if female else between(0.0, 0.12)
    natural = np.array(skin) * (0.88, 0.62, 0.60)
    lips = natural * (1 - make_up) + np.array([between(0.62, 0.78), 0.20, between(0.22, 0.32)]) * make_up
    return Identity(
        texture_seed=int(random.integers(2**31)),
        skin=skin,
        ruddy=between(0.2, 1.0),
        freckles=between(0.4, 1.0) if tone < 2 and random.random() < 0.3 else 0.0,
        wrinkles=between(0.0, 1.0) ** 2,
        temple_width=between(0.98, 1.08),
        cheek_width=between(1.04, 1.14),
        jaw_width=between(0.78, 0.90) + (0.0 if female else 0.06),
        chin_width=between(0.30, 0.40) + (0.0 if female else 0.05),
        chin_y=between(1.76, 1.94) + (0.0 if female else 0.05),
        eye_width=between(0.215, 0.245),
        eye_height=between(0.090, 0.120),
        eye_tilt=between(-0.02, 0.10),
        iris=IRISES[0] if tone > 4 else one_of(IRISES),  # type: ignore[arg-type]
        brow_y=between(-0.40, -0.33),
        brow_thickness=between(0.030, 0.048) if female else between(0.045, 0.075),
        brow_arch=between(0.02, 0.09),
        nose_width=between(0.15, 0.20) + 0.01 * tone / 3,
        nose_y=between(0.66, 0.74),
        mouth_y=between(1.08, 1.17),
        mouth_width=between(0.37, 0.43),
        upper_lip=between(0.075, 0.115) + 0.003 * tone,
        lower_lip=between(0.110, 0.155) + 0.003 * tone,
        bow=between(0.1, 0.5),
        smile=between(-0.01, 0.035),
        lips=(float(lips[0]), float(lips[1]), float(lips[2])),
        tooth=between(0.82, 0.95),
        hair=hair,  # type: ignore[arg-type]
        hair_colour=hair_colour,  # type: ignore[arg-type]
        hair_thickness=between(0.8, 1.3),
        hairline_y=between(-1.12, -0.95),
        parting=between(-0.5, 0.5),
        fringe=hair in ("bob", "long", "short") and random.random() < 0.35,
        beard=beard,  # type: ignore[arg-type]
        glasses=one_of(("none", "round", "square"), (7, 1.5, 1.5)),  # type: ignore[arg-type]
        glasses_colour=one_of(((0.08, 0.07, 0.07), (0.30, 0.18, 0.10), (0.55, 0.50, 0.42))),  # type: ignore[arg-type]
        clothes=one_of(CLOTHES),  # type: ignore[arg-type]
        collar=bool(random.random() < 0.5),
        articulation=between(0.88, 1.12),
    )


def _mix(palette: tuple[Colour, ...], position: float) -> Colour:
    low = min(int(position), len(palette) - 2)
    colour = np.array(palette[low]) + (position - low) * (np.array(palette[low + 1]) - palette[low])
    return (float(colour[0]), float(colour[1]), float(colour[2]))
