"""The mouths that are redrawn: by size, by place, chosen again in every shot; and where the face lies in its crops."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from drawn import ALIGN

from avcat.dubbing.portrait import Cast, Which, chosen, portrait, unusualness
from avcat.face.landmarks import Face
from avcat.face.track import Sightings, find_people


def face_at(x: float, size: float = 50, oval: bool = True) -> Face:
    box = np.array([x, 0, x + size, size], np.float32)
    eyes = np.array([[x + 0.3 * size, 0.4 * size], [x + 0.7 * size, 0.4 * size]], np.float32)
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    outline = np.stack([x + size / 2 * (1 + np.cos(angle)), size / 2 * (1 + np.sin(angle))], axis=1)
    return Face(box, 0.9, eyes, np.zeros((20, 2), np.float32), outline.astype(np.float32) if oval else None)


def seen(*faces: list[Face], cuts: tuple[int, ...] = ()) -> Sightings:
    class Script:
        def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
            for _, found in zip(images, faces, strict=True):
                yield found

    pictures = ((t / 25, np.full((100, 600, 3), t, np.uint8)) for t in range(len(faces)))
    return find_people(pictures, Script(), lambda image: int(image[0, 0, 0]) in cuts)


def places(sightings: Sightings, which: Which) -> list[list[float]]:
    return [[float(face.box[0]) for face in person.faces] for person in chosen(sightings, which)]


TWO = [face_at(0, 40), face_at(200, 60)]


@pytest.mark.parametrize(
    ("which", "wanted"),
    [
        ("largest", [[200, 200]]),
        ("all", [[0, 0], [200, 200]]),
        (1, [[0, 0]]),
        (2, [[200, 200]]),
        (-1, [[200, 200]]),
        (-2, [[0, 0]]),
        (3, []),
    ],
)
def test_of_two(which: Which, wanted: list[list[float]]) -> None:
    assert places(seen(TWO, TWO), which) == wanted


def test_while_the_largest_is_away_the_next_largest_is_taken() -> None:
    faces = [[face_at(0, 60)], *[[face_at(300, 40), face_at(100, 20)]] * 30, [face_at(100, 20)]]
    assert places(seen(*faces), "largest") == [[0], [300] * 30]  # a person seen beside them does not replace them


def test_a_speaker_who_is_lost_now_and_then_is_not_replaced_by_who_is_not() -> None:
    speaker, listener = face_at(200, 60), face_at(0, 38)  # of less than half the size
    faces = ([[speaker, listener]] * 30 + [[listener]] * 30) * 3
    assert places(seen(*faces), "largest") == [[200] * 30] * 3


def test_every_shot_is_chosen_anew() -> None:
    faces = [TWO, TWO, [face_at(100, 30)], [face_at(100, 30)]]
    assert places(seen(*faces, cuts=(2,)), "largest") == [[200, 200], [100, 100]]
    assert places(seen(*faces, cuts=(2,)), 2) == [[200, 200]]


def test_a_face_seen_now_and_then_does_not_move_the_others_places() -> None:
    faces = [TWO] * 5 + [[*TWO, face_at(100, 20)]] + [TWO] * 4
    assert places(seen(*faces), -1) == [[200] * 10]
    assert places(seen(*faces), 2) == [[200] * 10]


def test_who_left_and_came_back_has_the_same_place() -> None:
    faces = [TWO] * 6 + [[TWO[1]]] * 30 + [TWO] * 6
    assert places(seen(*faces), 1) == [[0] * 6, [0] * 6]
    assert places(seen(*faces), -1) == places(seen(*faces), 2) == [[200] * 42]


def test_a_portrait_by_hand() -> None:
    sightings = seen([], [face_at(100)], [], [face_at(104)], [])
    (person,) = chosen(sightings, "largest")
    face = portrait(person, sightings.times_s, ALIGN, 64)
    assert [face.at(t) for t in range(5)] == [None, 0, 1, 2, None]
    np.testing.assert_allclose(face.outlines[1], face.outlines[[0, 2]].mean(axis=0), atol=1e-4)
    for row, x in ((0, 100), (2, 104)):
        target = face.matrices[row] @ np.array([x + 25, 20, 1])
        assert target == pytest.approx([0.5 * 64 - 0.5, 0.31 * 64 - 0.5], abs=0.2)
        left, right = face.outlines[row, :, 0].min(), face.outlines[row, :, 0].max()
        assert right - left == pytest.approx(50 * 0.26 * 64 / 20, rel=0.02)


def test_how_unusual_a_mouth_is_by_hand() -> None:
    usual = np.random.default_rng(0).normal(size=(20, 2))
    off = unusualness(np.array([usual, usual, usual, usual + np.array([3, 4]), np.full((20, 2), np.nan)]))
    np.testing.assert_allclose(off, [0, 0, 0, 5, np.inf], atol=1e-6)


@pytest.mark.parametrize(("missed", "bridged"), [(1, True), (2, True), (3, False)])
def test_a_face_that_is_missed_for_a_frame_or_two_is_still_there(missed: int, bridged: bool) -> None:
    sightings = seen([face_at(100)], *[[]] * missed, [face_at(100)])
    face = portrait(sightings.people[0], sightings.times_s, ALIGN, 64)
    assert [face.at(t) is not None for t in range(1, 1 + missed)] == [bridged] * missed
    assert not face.found[1:-1].any()
    assert np.isfinite(face.outlines).all()


def test_who_crosses_the_other_for_a_moment_keeps_their_place() -> None:
    crossed = [face_at(126, 40), face_at(104, 60)]  # seen in the middle of the walk, centres the other way round
    faces = [[face_at(100, 40), face_at(110, 60)]] * 6 + [crossed] + [[face_at(100, 40), face_at(110, 60)]] * 6
    sightings = seen(*faces)
    assert len(sightings.people) == 2
    assert [len(person.frames) for person in chosen(sightings, 1)] == [13]
    assert [len(person.frames) for person in chosen(sightings, -1)] == [13]


def test_wide_pixels_make_no_wide_face() -> None:
    """A picture squeezed to three quarters of its width is cut as the one it was squeezed from."""
    whole, squeezed = seen([face_at(100)]), seen([face_at(100)])
    (face,) = squeezed.people[0].faces
    face.eyes[:, 0] *= 0.75
    assert face.oval is not None
    face.oval[:, 0] *= 0.75
    as_shown = portrait(whole.people[0], whole.times_s, ALIGN, 64)
    stored = portrait(squeezed.people[0], squeezed.times_s, ALIGN, 64, 4 / 3)
    np.testing.assert_allclose(stored.outlines, as_shown.outlines, atol=1e-3)
    np.testing.assert_allclose(stored.eyes, as_shown.eyes, atol=1e-3)
    np.testing.assert_allclose(stored.matrices[0] * [0.75, 1, 1], as_shown.matrices[0], atol=1e-4)


def test_a_cast_knows_who_may_be_in_a_frame() -> None:
    sightings = seen(*[[face_at(100)]] * 4, *[[]] * 30, *[[face_at(100)]] * 3, [face_at(100), face_at(300)])
    faces = [portrait(person, sightings.times_s, ALIGN, 64) for person in sightings.people]
    cast = Cast(faces)
    every = [tuple(n for n, face in enumerate(faces) if face.at(t) is not None) for t in range(38)]
    assert [cast.at(t) for t in range(38)] == every
    assert cast.at(38) == cast.at(-1) == Cast([]).at(0) == ()


def test_without_an_outline_there_is_an_ellipse() -> None:
    sightings = seen([face_at(100, oval=False)])
    face = portrait(sightings.people[0], sightings.times_s, ALIGN, 256)
    low, high = face.outlines[0].min(axis=0), face.outlines[0].max(axis=0)
    assert low == pytest.approx([0.21 * 256, 0.09 * 256], abs=1)
    assert high == pytest.approx([0.786 * 256, 0.843 * 256], abs=1)
