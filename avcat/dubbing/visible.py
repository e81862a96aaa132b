"""Whether a mouth is visible: if it is turned away, or something covers it, the source is kept.

Three criteria. In profile the mouth lies at the edge of the face. A hand is found by MediaPipe's hand model. Any other
cover changes the look of the lower face and not of the upper one; light or a turn would change both. A wrong fade is
worse than a missed one, so each criterion must be strong, and must last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from scipy.ndimage import median_filter, minimum_filter1d

from avcat.ahead import side_by_side
from avcat.dubbing.observed import Observed
from avcat.face.align import smooth, warp
from avcat.face.hands import HandFinder
from avcat.face.landmarks import Face, FaceDetector, with_pictures

SIDE = 16  # cells per side of a look
_CELL = 0.12  # side of a cell, in sizes of the face (about the distance of the eyes)
_ABOVE = 0.3  # how far above the eyes a look begins
_UPPER, _LOWER = (
    slice(0, 7),
    (slice(8, 15), slice(4, 12)),
)  # brows to nose; mouth, chin and beside
_SKIN, _LIPS, _CHIN = (  # cells of nose and cheeks, of the mouth, and below it
    (slice(3, 7), slice(5, 11)),
    (slice(8, 12), slice(6, 10)),
    (slice(11, 15), slice(4, 12)),
)
_NO_LIPS, _ONE_COLOUR, _NO_SKIN = 2.0, 3.0, 16.0  # CIELAB units
_FOREIGN, _SPREADS = 10.0, 3.0  # CIELAB units, and multiples of the usual spread: a cell beyond is foreign
_LIGHTNESS = 0.8  # weight of differences in lightness: shadows are not objects
_COVERED = (0.30, 0.45)  # shares of foreign cells in the lower face, beyond those of the upper one: seen, hidden
_HAND = (0.15, 0.40)  # shares of the mouth behind a hand: seen, hidden
_HAND_EVERY = 5  # frames between searches for hands; every frame while a hand is near a face
_GROWN = 1.4  # factor on the mouth that a hand may hide: fingers are thicker than the line of their joints
_NEAR = 1.0  # sizes of a face: a hand nearer than this to its mouth
_PROFILE = (0.06, 0.12)  # narrower over wider side of the face beside the mouth: hidden, seen
_UNUSUAL = 0.4  # of all frames: if more look foreign, the usual look is undefined
_FEW = 50  # with fewer frames there is no usual look
_AT_ONCE = 1024  # frames whose looks are compared at once
_BRIEF_S, _EARLY_S, _SIGMA_S = 0.1, 0.08, 0.06  # shortest dip; lead of the fade; its smoothing


class Looking:
    """Wraps a face detector: adds to each face its look and the share of its mouth behind a hand."""

    def __init__(self, detector: FaceDetector, hands: HandFinder) -> None:
        self._detector, self._hands = detector, hands
        self._wait = 0  # frames until hands are looked for again

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        """The faces in each picture of one clip, with `look` and, if hands were looked for, `hand`."""
        self._hands.forget()
        self._wait = 0
        found = with_pictures(self._detector, images)
        return side_by_side(self._looked_at, found, workers=1)  # so in order, while the next faces are being found

    def _looked_at(self, found: tuple[np.ndarray, list[Face]]) -> list[Face]:
        image, faces = found
        faces = [replace(Observed.of(face), look=look(image, face)) for face in faces]
        if faces and self._wait == 0:
            hands = self._hands(image)
            faces = [replace(Observed.of(face), hand=behind(hands, face)) for face in faces]
            self._wait = 1 if any(_is_near(hand, face) for hand in hands for face in faces) else _HAND_EVERY
        self._wait = max(0, self._wait - 1)
        return faces


def behind(hands: Sequence[np.ndarray], face: Face) -> float:
    """The share of a face's mouth that lies inside the outline of some hand's joints, float32 [21, 2]; 0..1."""
    if not hands or not np.isfinite(face.mouth).all():
        return 0.0
    mouth = cv2.convexHull(face.mouth)[:, 0]
    mouth = mouth.mean(axis=0) + _GROWN * (mouth - mouth.mean(axis=0))
    area = cv2.contourArea(mouth)
    shared = max(cv2.intersectConvexConvex(mouth, cv2.convexHull(hand))[0] for hand in hands)
    return float(min(shared / area, 1)) if area > 0 else 0.0


def _is_near(hand: np.ndarray, face: Face) -> bool:
    off = np.linalg.norm(hand - face.mouth.mean(axis=0), axis=1)
    return bool(off.min() < _NEAR * (face.box[2] - face.box[0]))


def look(image: np.ndarray, face: Face) -> np.ndarray:
    """uint8 [16, 16, 3] in CIELAB (as 8-bit OpenCV has it): the face from brows to chin, upright, in coarse cells."""
    across = (face.eyes[1] - face.eyes[0]).astype(np.float64)
    distance = max(float(np.linalg.norm(across)), 1.0)
    to_mouth = float(np.linalg.norm(face.mouth.mean(axis=0) - face.eyes.mean(axis=0)))
    size = max(distance, to_mouth) if np.isfinite(to_mouth) else distance  # a turn shrinks the first, a nod the second
    c, s = across / distance / (_CELL * size)
    linear = np.array([[c, s], [-s, c]])
    middle = np.array([SIDE / 2 - 0.5, _ABOVE / _CELL - 0.5])
    matrix = np.concatenate([linear, (middle - linear @ face.eyes.mean(axis=0))[:, None]], axis=1)
    return np.asarray(cv2.cvtColor(warp(image, matrix, SIDE), cv2.COLOR_RGB2LAB))


def visibility(faces: Sequence[Observed], times_s: np.ndarray) -> np.ndarray:
    """Confidence that the mouth is visible in each face of one person, float32 [N] in 0..1, smooth over `times_s` [N].

    1 for faces without enough data: no outline, no look, or too few others to compare with.
    """
    if is_covered(faces):
        return np.zeros(len(faces), np.float32)
    signs = [
        _ramp(frontalness(faces), *_PROFILE),
        1 - _ramp(foreignness(faces), *_COVERED),
        1 - _ramp(_hands(faces, times_s), *_HAND),
    ]
    seen = np.min(signs, axis=0)
    frames = 1 + 2 * _frames(times_s, _BRIEF_S)
    seen = np.maximum(seen, median_filter(seen, frames, mode="nearest")) if len(seen) > 2 else np.ones(len(seen))
    seen = minimum_filter1d(seen, 1 + 2 * _frames(times_s, _EARLY_S), mode="nearest")
    return smooth(seen[:, None], times_s, _SIGMA_S, follow_trend=False)[:, 0].astype(np.float32)


def is_covered(faces: Sequence[Observed]) -> bool:
    """Whether something covers the mouth all the time, as a mask does: no lips, but one colour, or none that skin has.

    By the median look. In the clips that this was tried on (78 people, some with beards) lips were redder than the chin
    by 3 units or more, and the lower face was within 16 units of the upper one's hue.
    """
    looks = [face.look for face in faces if face.look is not None]
    if not looks:
        return False
    usual = np.median(looks, axis=0)
    usual[..., 0] *= 100 / 255  # OpenCV has lightness in 0..255
    lower, skin = usual[_LOWER], usual[_SKIN].reshape(-1, 3)
    redder = usual[_LIPS][..., 1].max() - np.median(usual[_CHIN][..., 1])
    colour = np.median(lower.reshape(-1, 3), axis=0)
    spread = np.linalg.norm(usual[_LIPS] - colour, axis=-1).mean()
    hue = np.linalg.norm((colour - np.median(skin, axis=0))[1:])
    return bool(redder < _NO_LIPS and (spread < _ONE_COLOUR or hue > _NO_SKIN))


def _hands(faces: Sequence[Observed], times_s: np.ndarray) -> np.ndarray:
    """`Observed.hand` float64 [N], linearly interpolated between the frames searched for hands; 0 if none was."""
    hand = np.array([face.hand for face in faces])
    looked = np.isfinite(hand)
    return np.interp(times_s, times_s[looked], hand[looked]) if looked.any() else np.zeros(len(faces))


def frontalness(faces: Sequence[Face]) -> np.ndarray:
    """Narrower over wider side of each face beside the mouth's middle, float64 [N] in 0..1; 1: unknown."""
    return np.array([_sides(face) for face in faces])


def _sides(face: Face) -> float:
    if face.oval is None or not np.isfinite(face.mouth).all():
        return 1.0
    across = face.eyes[1] - face.eyes[0]
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    edge, mouth = face.oval @ across, float(face.mouth.mean(axis=0) @ across)
    sides = sorted((max(mouth - float(edge.min()), 0.0), max(float(edge.max()) - mouth, 0.0)))
    return sides[0] / max(sides[1], 1e-6)


def foreignness(faces: Sequence[Observed]) -> np.ndarray:
    """The share of each lower face, float64 [N] in 0..1, that looks different from the person's usual lower face.

    The share of the upper face is subtracted; 0 for all if there is no usual look.
    """
    if len(faces) < _FEW or any(face.look is None for face in faces):
        return np.zeros(len(faces))
    looks = np.stack([face.look for face in faces if face.look is not None])
    usual = np.median(looks, axis=0).astype(np.float32)
    # in parts: distances at nine positions take many times the memory of the looks
    off = np.concatenate([_off(looks[n : n + _AT_ONCE], usual) for n in range(0, len(looks), _AT_ONCE)])
    foreign = off > np.maximum(_FOREIGN, _SPREADS * np.median(off, axis=0))
    lower = foreign[(slice(None), *_LOWER)].mean(axis=(1, 2))
    upper = foreign[:, _UPPER, _LOWER[1]].mean(axis=(1, 2))
    share = np.clip(lower - upper, 0, 1)
    return share if (share > _COVERED[0]).mean() < _UNUSUAL else np.zeros(len(faces))


def _off(looks: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """float32 [N, 16, 16]: distance of each cell of some looks from `usual`, at the best shift within a cell."""
    looks = looks.astype(np.float32)
    light = np.median(looks[:, _UPPER, :, 0] - usual[_UPPER, :, 0], axis=(1, 2))
    looks[..., 0] -= light[:, None, None]
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return np.min([_distance(looks, np.roll(usual, step, (0, 1))) for step in around], axis=0).astype(np.float32)


def _distance(looks: np.ndarray, usual: np.ndarray) -> np.ndarray:
    off = looks - usual
    off[..., 0] *= _LIGHTNESS * 100 / 255  # OpenCV has lightness in 0..255
    return np.asarray(np.linalg.norm(off, axis=-1))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _frames(times_s: np.ndarray, seconds: float) -> int:
    """A duration in frames, approximately."""
    return max(1, round(seconds / float(np.median(np.diff(times_s))))) if len(times_s) > 1 else 1
