"""Hidden mouths: objects before them, and turns into profile, are detected; light, small turns and speech are not."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import soundfile
from drawn import face_picture, talking, tone, write_video
from painter import Painter, images_of, painted

from avcat.apps.cli import main
from avcat.dubbing import Dubber, DubSettings, visible
from avcat.dubbing.observed import Observed
from avcat.dubbing.plan import Plan, Voiced
from avcat.dubbing.portrait import Cast, Portrait
from avcat.dubbing.upright import on_their_heads
from avcat.dubbing.visible import Looking, behind, frontalness, visibility
from avcat.face.hands import HandFinder
from avcat.face.landmarks import Face, MediaPipeDetector
from avcat.face.track import Person, find_people
from avcat.media.timeline import Shown

HIDDEN = range(30, 45)  # of 75 frames


@pytest.fixture(scope="module")
def dubber() -> Dubber:
    return Dubber(Painter(), MediaPipeDetector())


@pytest.fixture(scope="module")
def looking() -> Looking:
    return Looking(MediaPipeDetector(), HandFinder())


def covered(t: int, image: np.ndarray) -> np.ndarray:
    """A cup before the mouth of the drawn face."""
    if t in HIDDEN:
        x = round(160 + 6 * np.sin(t / 6))
        cv2.rectangle(image, (x - 30, 172), (x + 30, 225), (40, 90, 190), -1)
    return image


def person(looking: Looking, images: Iterator[np.ndarray]) -> tuple[Person, np.ndarray]:
    seen = find_people(((t / 25, image) for t, image in enumerate(images)), looking)
    return seen.people[0], seen.times_s[seen.people[0].frames]


def test_a_cup_before_the_mouth_hides_it(looking: Looking) -> None:
    who, times_s = person(looking, (covered(t, image) for t, image in enumerate(talking(75))))
    seen = dict(zip(who.frames, visibility(who.faces, times_s), strict=True))
    assert max((seen[t] for t in HIDDEN if t in seen), default=0) < 0.05
    assert min(value for t, value in seen.items() if not HIDDEN[0] - 7 <= t <= HIDDEN[-1] + 7) > 0.99
    assert np.abs(np.diff(list(seen.values()))).max() < 0.5  # it fades


def test_looks_are_compared_in_parts_as_if_at_once(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    who, _ = person(looking, (covered(t, image) for t, image in enumerate(talking(75))))
    whole = visible.foreignness(who.faces)
    assert whole.max() > 0
    monkeypatch.setattr(visible, "_AT_ONCE", 7)
    np.testing.assert_array_equal(visible.foreignness(who.faces), whole)


def test_speech_light_and_turns_hide_nothing(looking: Looking) -> None:
    def lit() -> Iterator[np.ndarray]:
        for t, image in enumerate(talking(75)):
            dimmer = 0.65 if 30 <= t < 45 else 1.0
            turned = cv2.getRotationMatrix2D((160, 160), 15 * np.sin(t / 9), 1.0)
            yield cv2.warpAffine((image * dimmer).astype(np.uint8), turned, (320, 320), borderMode=cv2.BORDER_REPLICATE)

    who, times_s = person(looking, lit())
    assert len(who.faces) >= 70
    np.testing.assert_array_equal(visibility(who.faces, times_s), 1)


def test_where_most_frames_look_odd_none_does(looking: Looking) -> None:
    def half() -> Iterator[np.ndarray]:
        for t, image in enumerate(talking(74)):
            if t % 2:
                cv2.rectangle(image, (130, 172), (190, 225), (40, 90, 190), -1)
            yield image

    who, times_s = person(looking, half())
    np.testing.assert_array_equal(visibility(who.faces, times_s), 1)


def test_the_source_shows_where_the_mouth_is_hidden(tmp_path: Path, dubber: Dubber) -> None:
    video = write_video(tmp_path / "v.mp4", (covered(t, image) for t, image in enumerate(talking(75))))
    soundfile.write(tmp_path / "a.wav", tone(3.0), 16_000)
    summary = dubber.dub(video, tmp_path / "a.wav", tmp_path / "out.mp4")
    ((start, end),) = summary.hidden_s
    assert start == pytest.approx(HIDDEN[0] / 25, abs=0.21)
    assert end == pytest.approx((HIDDEN[-1] + 1) / 25, abs=0.21)
    assert summary.redrawn < 75
    paint = [painted(image).sum() for image in images_of(tmp_path / "out.mp4")]
    assert max(paint[t] for t in HIDDEN) == 0
    assert min(paint[:20] + paint[-20:]) > 1000
    frames = list(dubber.frames(video, tmp_path / "a.wav", DubSettings(fade_hidden=False)))
    assert all(frame.redrawn for frame in frames)


def test_the_command_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avcat.inference.redraw.Redrawer.from_checkpoint", lambda *_, **__: Painter())
    monkeypatch.setattr("avcat.apps.commands.dub.model_path", lambda path, **_: path)
    video = write_video(tmp_path / "v.mp4", (covered(t, image) for t, image in enumerate(talking(75))))
    soundfile.write(tmp_path / "a.wav", tone(3.0), 16_000)
    (tmp_path / "m.pt").touch()
    command = ["dub", str(video), str(tmp_path / "a.wav"), "-q", "--model", str(tmp_path / "m.pt")]
    assert main([*command, "-o", str(tmp_path / "out.mp4")]) == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: a mouth is hidden, and was left as it was, at 1.")
    assert main([*command, "-o", str(tmp_path / "out.mp4"), "--no-fade-hidden"]) == 0
    assert capsys.readouterr().err == ""


def square_face(mouth_x: float = 50.0) -> Observed:
    """A face of 100 px, and a mouth of 20 x 20 px at (mouth_x, 70)."""
    oval = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], np.float32)
    corners = np.array([(mouth_x + x, 70 + y) for x, y in ((-10, -10), (10, -10), (10, 10), (-10, 10))])
    eyes = np.array([[30, 30], [70, 30]], np.float32)
    return Observed(np.array([0, 0, 100, 100], np.float32), 1.0, eyes, corners.astype(np.float32), oval)


def test_how_much_of_a_mouth_is_behind_a_hand() -> None:
    def hand(x0: float, x1: float) -> np.ndarray:
        return np.array([[x0, 0], [x1, 0], [x1, 200], [x0, 200]], np.float32)

    face = square_face()
    assert behind([], face) == 0
    assert behind([hand(200, 300)], face) == 0
    assert behind([hand(0, 50), hand(300, 400)], face) == pytest.approx(0.5)
    assert behind([hand(0, 100)], face) == pytest.approx(1.0)


def test_a_hand_found_now_and_then_hides_what_is_between(looking: Looking) -> None:
    face = square_face()
    faces = [replace(face, hand=1.0 if 20 <= t < 40 else 0.0) if t % 5 == 0 else face for t in range(60)]
    seen = visibility(faces, np.arange(60) / 25)
    assert seen[20:36].max() < 0.02
    assert min(*seen[:10], *seen[50:]) > 0.99


@pytest.mark.parametrize(("x", "wanted"), [(50, 1.0), (20, 0.25), (80, 0.25), (0, 0.0)])
def test_sides_of_a_face(x: float, wanted: float) -> None:
    assert frontalness([square_face(x)])[0] == pytest.approx(wanted)


def test_a_profile_is_hidden_and_a_moment_of_it_is_not() -> None:
    times_s = np.arange(60) / 25
    profile = [square_face(2) if t >= 30 else square_face(50) for t in range(60)]
    seen = visibility(profile, times_s)
    assert seen[:20].min() == pytest.approx(1)
    assert seen[32:].max() < 0.01
    np.testing.assert_allclose(visibility([square_face(2 if t == 30 else 50) for t in range(60)], times_s), 1)


def test_a_plan_tells_when_a_mouth_is_hidden() -> None:
    seen, there = np.array([0, 0.4, 1, 0.5, 0], np.float32), np.array([1, 1, 1, 1, 1, 0], bool)
    matrices, outlines, eyes = np.zeros((6, 2, 3)), np.zeros((6, 4, 2), np.float32), np.zeros((2, 2))
    face = Portrait(0, there, there, matrices, outlines, eyes, np.append(seen, 0), np.zeros(6, np.float32))
    shown = [Shown(n, n, 1) for n in range(6)]
    info = SimpleNamespace(time_base=Fraction(1, 10))
    plan = Plan(info, np.arange(6) / 10, [Voiced(face, None)], Cast([face]), shown, DubSettings(), 9.0, ())  # type: ignore[arg-type]
    assert plan.hidden_s() == [pytest.approx((0.0, 0.2)), pytest.approx((0.4, 0.5))]


def test_a_look_is_upright_and_knows_no_size() -> None:
    picture = face_picture()
    eyes = np.array([[139, 148], [181, 148]], np.float32)
    mouth = np.array([[145, 193], [175, 193]], np.float32)
    face = Face(np.array([110, 94, 210, 226], np.float32), 1.0, eyes, mouth)
    turned = cv2.getRotationMatrix2D((160, 160), 30, 1.4)
    other = replace(face, eyes=cv2.transform(eyes[None], turned)[0], mouth=cv2.transform(mouth[None], turned)[0])
    a, b = visible.look(picture, face), visible.look(cv2.warpAffine(picture, turned, (320, 320)), other)
    assert np.abs(a.astype(int) - b).mean() < 3
    assert np.abs(a.astype(int) - a[::-1]).mean() > 10


def test_a_mask_hides_the_mouth_all_the_time(looking: Looking) -> None:
    def masked(t: int, image: np.ndarray) -> np.ndarray:
        if t > 2:  # until then the face is found; later it is tracked
            x = round(160 + 6 * np.sin(t / 6))
            cv2.rectangle(image, (x - 36, 172), (x + 36, 225), (90, 150, 190), -1)
        return image

    who, times_s = person(looking, (masked(t, image) for t, image in enumerate(talking(30))))
    assert not visibility(who.faces, times_s).any()
    who, times_s = person(looking, talking(30))
    assert visibility(who.faces, times_s).min() > 0.99
    grey = (np.repeat(image.mean(2, keepdims=True), 3, 2).astype(np.uint8) for image in talking(30))
    who, times_s = person(looking, grey)
    assert visibility(who.faces, times_s).min() > 0.99, "a film without colours"


class Stands:
    """A detector that finds the same face in the mirror only if the picture stands as it should."""

    def __init__(self, upside_down: bool) -> None:
        self._down = upside_down

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        for image in images:
            marked_above = image[:40].mean() > image[-40:].mean()
            off = 0.0 if marked_above != self._down else 30.0
            mouth = np.full((20, 2), (50 + off, 80), np.float32)
            yield [
                Face(np.array([20, 20, 80, 100], np.float32), 1.0, np.array([[35, 40], [65, 40]], np.float32), mouth)
            ]


def test_faces_on_their_heads_are_told_from_others() -> None:
    picture = np.zeros((120, 101, 3), np.uint8)
    picture[:40] = 200
    assert not on_their_heads(Stands(upside_down=False), [picture] * 3)
    assert on_their_heads(Stands(upside_down=True), [picture] * 3)
