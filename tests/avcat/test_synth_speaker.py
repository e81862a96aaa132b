"""The drawn face: its ground truth matches the drawing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avcat.synth.identity import Identity, draw_identity
from avcat.synth.lips import pose_lips
from avcat.synth.motion import WILD, WORDS, Pose, poses
from avcat.synth.scene import Camera, draw_light
from avcat.synth.speaker import Speaker
from avcat.synth.visemes import PARAMETERS

CAMERA = Camera(256, 240, 52.0, (128.0, 108.0))
STILL = Pose((0.0, 0.0), 0.0, 1.0, 0.0, 0.0, 1.0, (0.0, 0.0), 0.0)
TURNED = Pose((0.2, -0.1), 0.12, 1.05, 0.35, -0.15, 1.0, (0.02, 0.0), 0.03)
GREY = np.full((240, 256, 3), 128, np.uint8)


def shape(**values: float) -> np.ndarray:
    """A row of `MouthTrack.at`."""
    assert set(values) <= set(PARAMETERS)
    return np.array([values.get(name, 0.0) for name in PARAMETERS])


def person(seed: int = 1) -> Identity:
    """Someone without glasses, so that eyes are seen."""
    return replace(draw_identity(np.random.default_rng(seed), female=bool(seed % 2)), glasses="none")


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(person(), draw_light(np.random.default_rng(0), wild=False), CAMERA)


def changed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """bool [H, W]: where two pictures clearly differ."""
    return np.abs(one.astype(int) - other).max(axis=2) > 12


@pytest.mark.parametrize("pose", [STILL, TURNED])
@pytest.mark.parametrize("opening", [0.5, 0.95])
def test_the_inside_of_the_mouth_lies_within_the_true_inner_lips(speaker: Speaker, pose: Pose, opening: float) -> None:
    """Only the tongue differs between the two pictures, so what changes is the inside of the mouth."""
    low, marks = speaker.draw(GREY, shape(opening=opening), pose)
    high, _ = speaker.draw(GREY, shape(opening=opening, tongue=1.0), pose)
    inner: np.ndarray = np.zeros((240, 256), np.uint8)
    cv2.fillPoly(inner, [np.rint(marks.mouth[12:] * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    outside_px = cv2.distanceTransform(1 - inner, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = changed(low, high)
    assert inside.sum() > 0.25 * inner.sum()
    assert outside_px[inside].max() <= 3.5  # eight points cut the corners of a curve


@pytest.mark.parametrize("pose", [STILL, TURNED])
def test_true_eyes_lie_in_the_middle_of_the_drawn_ones(speaker: Speaker, pose: Pose) -> None:
    """Only the lids differ, so what changes are the eyes."""
    opened, marks = speaker.draw(GREY, shape(), pose)
    closed, _ = speaker.draw(GREY, shape(), replace(pose, lids=0.0))
    rows, columns = np.nonzero(changed(opened, closed))
    for eye in marks.eyes:
        mine = np.hypot(columns - eye[0], rows - eye[1]) < 0.35 * CAMERA.eye_distance_px
        box = [columns[mine].min(), columns[mine].max()]
        assert np.mean(box) == pytest.approx(eye[0], abs=2.0)
        assert rows[mine].mean() == pytest.approx(eye[1], abs=2.5)


def test_a_still_head_is_where_the_camera_has_it(speaker: Speaker) -> None:
    _, marks = speaker.draw(GREY, shape(), STILL)
    assert marks.eyes.tolist() == [[128 - 26, 108], [128 + 26, 108]]
    assert marks.mouth[:, 0].mean() == pytest.approx(128, abs=0.5)
    assert marks.opening == 0


def test_turning_moves_the_front_of_the_face_and_not_the_body(speaker: Speaker) -> None:
    _, still = speaker.draw(GREY, shape(), STILL)
    _, left = speaker.draw(GREY, shape(), replace(STILL, yaw=-0.3))
    _, right = speaker.draw(GREY, shape(), replace(STILL, yaw=0.3))
    moved = right.mouth - still.mouth
    assert (moved[:, 0] > 3).all()
    assert np.abs(moved[:, 1]).max() < 0.01
    assert left.mouth[9, 0] - still.mouth[9, 0] == pytest.approx(-moved[9, 0], abs=1.0)


def test_points_are_in_dlibs_order() -> None:
    points = pose_lips(person(), shape(opening=0.8)).points()
    outer, inner = points[:12], points[12:]
    assert outer[:, 0].argmin() == 0
    assert outer[:, 0].argmax() == 6
    assert (np.diff(outer[:7, 0]) > 0).all()
    assert (np.diff(outer[7:, 0]) < 0).all()
    assert outer[3, 1] < inner[2, 1] < inner[6, 1] < outer[9, 1]
    assert inner[0, 0] == pytest.approx(-inner[4, 0])
    assert cv2.contourArea(outer.astype(np.float32)) > cv2.contourArea(inner.astype(np.float32)) > 0


@pytest.mark.parametrize("seed", range(8))
def test_curves_never_cross(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = np.linspace(-0.6, 0.6, 97)
    for values in random.uniform(0, 1, (40, len(PARAMETERS))):
        upper_outer, upper_inner, lower_inner, lower_outer = pose_lips(person(seed), values).curves(x)
        for above, below in ((upper_outer, upper_inner), (upper_inner, lower_inner), (lower_inner, lower_outer)):
            assert (below - above).min() > -1e-9


def test_closure_closes_any_opening_and_the_gap_grows_with_the_jaw() -> None:
    someone = person()
    assert pose_lips(someone, shape(opening=0.9, closure=1.0)).gap == 0
    gaps = [pose_lips(someone, shape(opening=value)).gap for value in np.linspace(0, 1, 9)]
    assert gaps[0] == 0
    assert (np.diff(gaps) > 0).all()
    assert 0.35 < gaps[-1] < 0.5
    wide, pursed = pose_lips(someone, shape(spread=1.0)), pose_lips(someone, shape(round=1.0))
    assert wide.half_width > 1.5 * pursed.half_width


def test_the_chin_goes_down_with_the_jaw(speaker: Speaker) -> None:
    """The lowest changed pixel is the chin's, far below the lips."""
    shut, marks = speaker.draw(GREY, shape(), STILL)
    wide, open_marks = speaker.draw(GREY, shape(opening=1.0), STILL)
    rows, _ = np.nonzero(changed(shut, wide))
    assert rows.max() > open_marks.mouth[9, 1] + 0.2 * CAMERA.eye_distance_px
    assert rows.min() > marks.eyes[0, 1]


def test_drawing_is_repeatable_and_people_differ(speaker: Speaker) -> None:
    light = draw_light(np.random.default_rng(0), wild=False)
    once, _ = speaker.draw(GREY, shape(opening=0.4), TURNED)
    again, _ = Speaker(person(), light, CAMERA).draw(GREY, shape(opening=0.4), TURNED)
    other, _ = Speaker(person(2), light, CAMERA).draw(GREY, shape(opening=0.4), TURNED)
    assert np.array_equal(once, again)
    assert changed(once, other).mean() > 0.1


@pytest.mark.parametrize("seed", range(40))
def test_every_identity_can_be_drawn(seed: int) -> None:
    """Warnings are errors: no style divides by zero."""
    random = np.random.default_rng(seed)
    someone = draw_identity(random, female=bool(seed % 2))
    camera = Camera(128, 128, 24.0, (64.0, 54.0))
    picture, _ = Speaker(someone, draw_light(random, wild=True), camera).draw(
        np.zeros((128, 128, 3), np.uint8), shape(opening=0.3), TURNED
    )
    assert picture.max() > 60


def test_motion_is_calm_for_words_and_lively_in_the_wild() -> None:
    times = np.arange(500) / 25
    calm = poses(np.random.default_rng(3), WORDS, times)
    lively = poses(np.random.default_rng(3), WILD, times)
    assert np.ptp([p.yaw for p in lively]) > 5 * np.ptp([p.yaw for p in calm])
    assert max(abs(p.yaw) for p in lively) <= WILD.yaw
    assert 3 <= np.sum(np.diff([p.lids < 0.5 for p in lively]) > 0) <= 16  # blinks in 20 s
    assert np.abs(np.diff([p.shift[0] for p in lively])).max() < 0.05
