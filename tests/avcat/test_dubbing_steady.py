"""How far a head moved, by its texture: known movements, under landmarks that shake."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
from drawn import ALIGN, face_picture

from avcat.dubbing.portrait import portrait
from avcat.dubbing.steady import Following
from avcat.face.align import transform_points
from avcat.face.landmarks import Face
from avcat.face.track import Person, find_people

FRAMES = 60
T = np.arange(FRAMES)
WAY = np.stack([9 * np.sin(T / 7), 4 * np.cos(T / 5) + 0.3 * T], axis=1)  # px, of the head
NOISE = np.random.default_rng(0).normal(0, 0.7, (FRAMES, 2))  # px, of the landmarks
EYES = np.array([[139.0, 148.0], [181.0, 148.0]])


class Shaky:
    """Knows where the drawn face is, to `noise` px; `scale` times as large as it is, from frame 30 on."""

    def __init__(self, noise: np.ndarray, scale: float = 1.0) -> None:
        self.noise, self.scale = noise, scale

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        for t, _ in enumerate(images):
            middle = EYES.mean(axis=0) + WAY[t] + self.noise[t]
            eyes = middle + (EYES - EYES.mean(axis=0)) * (self.scale if t >= 30 else 1)
            box = np.concatenate([middle - 60, middle + 60]).astype(np.float32)
            yield [Face(box, 0.9, eyes.astype(np.float32), np.full((20, 2), np.nan, np.float32))]


def moving() -> Iterator[tuple[float, np.ndarray]]:
    still = face_picture()
    for t in T:
        matrix = np.concatenate([np.eye(2), WAY[t][:, None]], axis=1)
        yield t / 25, cv2.warpAffine(still, matrix, (320, 320), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def only(detector: Following) -> tuple[Person, np.ndarray]:
    seen = find_people(moving(), detector)
    return seen.people[0], seen.times_s


def test_movements_are_known_better_than_by_the_landmarks() -> None:
    person, _ = only(Following(Shaky(NOISE)))
    assert person.faces[0].moved is None
    off = np.array([face.moved for face in person.faces[1:]]) - np.diff(WAY, axis=0)
    by_eyes = np.diff([face.eyes.mean(axis=0) for face in person.faces], axis=0) - np.diff(WAY, axis=0)
    assert np.sqrt(np.square(off).mean()) < 0.45 * np.sqrt(np.square(by_eyes).mean())


def test_a_crop_shakes_less_and_does_not_drift() -> None:
    person, times_s = only(Following(Shaky(NOISE)))
    untold = Person(person.frames, [replace(face, moved=None) for face in person.faces])

    def off(who: Person) -> np.ndarray:
        """Where the truth lies in the crop, less where it lies on average."""
        matrices = portrait(who, times_s, ALIGN, 256).matrices
        at = np.array([transform_points(m, EYES.mean(axis=0) + way) for m, way in zip(matrices, WAY, strict=True)])
        return at - at.mean(axis=0)

    reported, plain = off(person), off(untold)
    assert np.diff(reported, axis=0).std() < 0.75 * np.diff(plain, axis=0).std()
    assert reported.std() < plain.std()


def test_what_is_not_the_same_is_not_compared() -> None:
    person, _ = only(Following(Shaky(NOISE, scale=1.3)))
    assert [t for t, face in enumerate(person.faces) if face.moved is None] == [0, 30]
    noisy = NOISE.copy()
    noisy[20:] += 30  # a landmark that jumps by more than landmarks are off
    person, _ = only(Following(Shaky(noisy)))
    assert [t for t, face in enumerate(person.faces) if face.moved is None] == [0, 20]


def test_no_likeness_is_no_movement() -> None:
    random = np.random.default_rng(1)

    def snow() -> Iterator[tuple[float, np.ndarray]]:
        for t in T:
            yield t / 25, random.integers(0, 256, (320, 320, 3), np.uint8)

    seen = find_people(snow(), Following(Shaky(NOISE)))
    reported = [face.moved for face in seen.people[0].faces[1:] if face.moved is not None]
    assert len(reported) < 0.1 * FRAMES
