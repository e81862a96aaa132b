"""From phonemes to the shape of the mouth at any time, with coarticulation.

A phoneme has one target shape, a diphthong two. Each target has a dominance over time, a plateau over its part of the
phoneme with soft flanks, and the shape is the mean of the targets weighted by their dominance (after Cohen and
Massaro, 1993): a vowel dominates its neighbours' opening, `s` adapts, and flanks that reach into the previous phoneme
make the mouth move before the sound. Lips that must touch (p, b, m) are not averaged: their closure is a bump that
reaches 1.
Flanks are so short that the shape at time t depends only on the sound within 0.1 s of t, the network's audio window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avcat.synth.speech import SILENCE, Phoneme

FLANK_S = 0.018  # time constant of the logistic flanks
LEAD_S = 0.025  # delay of eSpeak's marks after the transition that a listener hears as the start
CLOSURE_PLATEAU_S = 0.044  # longer than a frame: every closure contains the middle of a frame
CLOSURE_FLANK_S = 0.040
GLIDE = 0.6  # of a diphthong: where its second target begins

PARAMETERS = ("opening", "spread", "round", "closure", "tuck", "tongue")
OPENING, SPREAD, ROUND, CLOSURE, TUCK, TONGUE = range(len(PARAMETERS))


@dataclass(frozen=True)
class Viseme:
    """A target shape: each parameter 0..1 (`spread` -1..1), and the strength of its dominance."""

    opening: float = 0.0  # of the jaw
    spread: float = 0.0  # corners outwards
    round: float = 0.0  # corners inwards, lips forwards
    closure: float = 0.0  # lips touch, however open the jaw is
    tuck: float = 0.0  # lower lip against the upper teeth
    tongue: float = 0.0  # tip up to the upper teeth
    dominance: float = 1.0


VISEMES = {
    "rest": Viseme(dominance=1.0),
    "ah": Viseme(0.92, 0.05, dominance=2.2),
    "ae": Viseme(0.80, 0.35, dominance=2.0),
    "uh": Viseme(0.62, 0.0, dominance=1.5),
    "schwa": Viseme(0.34, 0.0, dominance=0.7),
    "eh": Viseme(0.58, 0.35, dominance=1.6),
    "ih": Viseme(0.34, 0.40, dominance=1.2),
    "ee": Viseme(0.28, 0.85, dominance=1.7),
    "er": Viseme(0.34, -0.1, 0.40, dominance=1.4),
    "aw": Viseme(0.76, -0.1, 0.50, dominance=2.0),
    "oh": Viseme(0.52, -0.1, 0.75, dominance=1.9),
    "oo": Viseme(0.24, -0.1, 1.00, dominance=2.0),
    "lips": Viseme(0.10, closure=1.0, dominance=1.3),
    "tuck": Viseme(0.14, 0.10, tuck=1.0, dominance=1.8),
    "hiss": Viseme(0.13, 0.45, dominance=1.3),
    "hush": Viseme(0.18, -0.1, 0.70, dominance=1.6),
    "tip": Viseme(0.24, 0.15, tongue=0.75, dominance=0.9),
    "lateral": Viseme(0.34, 0.15, tongue=1.0, dominance=1.1),
    "dental": Viseme(0.28, 0.15, tongue=1.0, dominance=1.3),
    "back": Viseme(0.32, 0.10, dominance=0.8),
    "breath": Viseme(0.34, 0.0, dominance=0.4),
    "glide_w": Viseme(0.16, -0.1, 1.00, dominance=1.9),
    "glide_y": Viseme(0.24, 0.60, dominance=1.1),
    "glide_r": Viseme(0.24, -0.1, 0.55, dominance=1.3),
}

# Targets, and the phonemes of eSpeak's English that have them; a diphthong moves from its first target to its second.
_PHONEMES = {
    "rest": SILENCE,
    "lips": "p b m",
    "tuck": "f v",
    "hiss": "s z",
    "hush": "S Z tS dZ",
    "tip": "t d n t# t2 d# *",
    "lateral": "l l# @L",
    "dental": "T D",
    "back": "k g N x ?",
    "breath": "h h#",
    "glide_w": "w w#",
    "glide_y": "j",
    "glide_r": "r r-",
    "ah": "A: A A@ 0 0# aa",
    "ae": "a",
    "uh": "V a# @5",
    "schwa": "@ @2 I2 I#",
    "eh": "E E2 e",
    "ih": "I i",
    "ee": "i:",
    "er": "3 3:",
    "aw": "O: O O2 o@ O@",
    "oo": "u: U u",
    "oh oo": "oU",
    "ah ee": "aI",
    "ah oo": "aU",
    "eh ee": "eI",
    "aw ee": "OI",
    "eh er": "e@",
    "ee er": "i@ i@3",
    "oo er": "U@",
    "ah er": "aI@ aI3 aU@",
}
PHONEMES = {symbol: tuple(targets.split()) for targets, symbols in _PHONEMES.items() for symbol in symbols.split()}


def visemes_of(symbol: str) -> tuple[str, ...]:
    """The targets of an eSpeak phoneme; if it is not in the table, those of its longest known prefix."""
    for length in range(len(symbol), 0, -1):
        if symbol[:length] in PHONEMES:
            return PHONEMES[symbol[:length]]
    return ("schwa",)


class MouthTrack:
    """The shape of the mouth over time for a list of phonemes without gaps."""

    def __init__(self, phonemes: Sequence[Phoneme]) -> None:
        rows = [row for phoneme in phonemes for row in _targets(phoneme)]
        table = np.array([(start, end, *_values(viseme)) for start, end, viseme in rows], np.float64)
        table = table.reshape(-1, 2 + len(PARAMETERS) + 1)
        self._start, self._end = table[:, 0] - LEAD_S, table[:, 1] - LEAD_S
        self._target, self._dominance = table[:, 2:-1], table[:, -1]

    def at(self, times_s: np.ndarray) -> np.ndarray:
        """float64 [n, 6], columns `PARAMETERS`, at the times [n] in seconds. Without phonemes the mouth is at rest."""
        times = np.asarray(times_s, np.float64)[:, None]
        if not len(self._target):
            return np.zeros((len(times), len(PARAMETERS)))
        risen, fallen = _logistic((times - self._start) / FLANK_S), _logistic((times - self._end) / FLANK_S)
        risen[:, 0], fallen[:, -1] = 1, 0  # before the first target and after the last, the shape is constant
        weight = self._dominance * (risen - fallen)
        shape = weight @ self._target / weight.sum(axis=1, keepdims=True)
        shape[:, CLOSURE] = self._closure(times)
        return shape

    def _closure(self, times: np.ndarray) -> np.ndarray:
        closing = self._target[:, CLOSURE] > 0
        if not closing.any():
            return np.zeros(len(times))
        start, end = self._start[closing], self._end[closing]
        half = np.maximum((end - start) / 2, CLOSURE_PLATEAU_S / 2)
        outside = np.abs(times - (start + end) / 2) - half
        return _smoothstep(1 - outside / CLOSURE_FLANK_S).max(axis=1)


def _targets(phoneme: Phoneme) -> list[tuple[float, float, Viseme]]:
    names = visemes_of(phoneme.symbol)
    glide = phoneme.start_s + GLIDE * (phoneme.end_s - phoneme.start_s)
    edges = [phoneme.start_s, *[glide] * (len(names) - 1), phoneme.end_s]
    return [(a, b, VISEMES[name]) for a, b, name in zip(edges, edges[1:], names, strict=False)]


def _values(viseme: Viseme) -> tuple[float, ...]:
    return (*(getattr(viseme, name) for name in PARAMETERS), viseme.dominance)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
