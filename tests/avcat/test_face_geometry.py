"""Alignment, its inverse, the mask, and pasting back, on faces with known positions."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn import ALIGN, face_picture

from avcat.dubbing.paste import match_colour, paste
from avcat.dubbing.region import face_mask, soft_redraw_mask
from avcat.face.align import alignment, eye_targets, invert, scale_of, smooth, transform_points, warp
from avcat.face.mask import keep_mask, redrawn_rows_and_columns
from avcat.face.opening import mouth_opening


def eyes_at(middle: np.ndarray, distance: np.ndarray | float, angle: float = 0.0) -> np.ndarray:
    """[T, 2, 2] from midpoints [T, 2]."""
    half = np.stack([np.cos(angle) * np.ones(len(middle)), np.sin(angle) * np.ones(len(middle))], axis=1)
    half *= np.broadcast_to(np.asarray(distance), len(middle))[:, None] / 2
    return np.stack([middle - half, middle + half], axis=1)


def test_a_crop_fraction_is_the_same_place_at_any_size() -> None:
    np.testing.assert_allclose(eye_targets(ALIGN, 256), [[0.37 * 256 - 0.5, 0.31 * 256 - 0.5], [161.28 - 0.5, 78.86]])
    np.testing.assert_allclose((eye_targets(ALIGN, 64) + 0.5) * 4 - 0.5, eye_targets(ALIGN, 256))


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.0])
def test_still_eyes_land_where_the_settings_say(angle: float) -> None:
    eyes = eyes_at(np.tile([[300.0, 200.0]], (40, 1)), 80.0, angle)
    for matrix in alignment(eyes, np.arange(40) / 25, ALIGN, 256):
        np.testing.assert_allclose(transform_points(matrix, eyes[0]), eye_targets(ALIGN, 256), atol=1e-9)
        assert scale_of(matrix) == pytest.approx(0.26 * 256 / 80)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_the_mouths_median_lands_where_the_settings_say(angle: float) -> None:
    """Long and short faces: corners 60 to 100 px below eyes that are 80 apart. One frame is an outlier, one unseen."""
    down = np.array([-np.sin(angle), np.cos(angle)])
    across = np.array([np.cos(angle), np.sin(angle)])
    config = replace(ALIGN, mouth_height=0.7)
    for below in (60.0, 80.0, 100.0):
        middle = np.tile([[300.0, 200.0]], (9, 1))
        mouths = np.full((9, 20, 2), np.nan, np.float32)
        for corner, side in ((0, -25), (6, 25)):
            mouths[:, corner] = middle + below * down + side * across
        mouths[3] += 50
        mouths[5] = np.nan
        matrices = alignment(eyes_at(middle, 80.0, angle), np.arange(9) / 25, config, 256, mouths)
        landed = transform_points(matrices[0], mouths[0, [0, 6]].mean(0))
        np.testing.assert_allclose(landed, [127.5, 0.7 * 256 - 0.5], atol=1e-4)
        eyes = transform_points(matrices[0], eyes_at(middle[:1], 80.0, angle)[0])
        np.testing.assert_allclose(eyes[:, 0], eye_targets(ALIGN, 256)[:, 0], atol=1e-9)  # moved only up or down
        np.testing.assert_allclose(eyes[0, 1], 0.7 * 256 - 0.5 - below * 0.26 * 256 / 80, atol=1e-4)


def test_a_steady_motion_is_followed_without_lag_to_the_very_ends() -> None:
    times = np.arange(50) / 25
    eyes = eyes_at(np.stack([100 + 120 * times, 200 - 60 * times], axis=1), 60.0)
    for matrix, pair in zip(alignment(eyes, times, ALIGN, 256), eyes, strict=True):
        np.testing.assert_allclose(transform_points(matrix, pair), eye_targets(ALIGN, 256), atol=1e-6)


def test_a_jittering_scale_stays_steady() -> None:
    rng = np.random.default_rng(0)
    eyes = eyes_at(np.tile([[300.0, 200.0]], (200, 1)), 80 * (1 + 0.05 * rng.standard_normal(200)))
    scales = np.array([scale_of(matrix) for matrix in alignment(eyes, np.arange(200) / 25, ALIGN, 256)])
    assert scales[50:150].std() / scales.mean() < 0.01
    assert np.abs(np.diff(scales)).max() / scales.mean() < 0.004
    assert scales.mean() == pytest.approx(0.26 * 256 / 80, rel=0.01)


def test_missing_eyes_are_bridged_and_nothing_is_nan() -> None:
    times = np.arange(60) / 25
    eyes = eyes_at(np.stack([100 + 50 * times, np.full(60, 90.0)], axis=1), 60.0)
    seen = eyes.copy()
    eyes[[0, 1, 20, 21, 22, *range(40, 60)]] = np.nan
    matrices = alignment(eyes, times, ALIGN, 256)
    assert np.isfinite(matrices).all()
    for t in (20, 21, 22):
        np.testing.assert_allclose(transform_points(matrices[t], seen[t]), eye_targets(ALIGN, 256), atol=1e-6)


def test_smoothing_is_a_gaussian_where_times_are_even() -> None:
    values = np.random.default_rng(0).standard_normal((101, 1))
    times = np.arange(101) / 25
    weights = np.exp(-0.5 * ((times - times[50]) / 0.1) ** 2)
    wanted = (weights @ values) / weights.sum()
    for follow_trend in (False, True):
        got = smooth(values, times, 0.1, follow_trend=follow_trend)[50]
        np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_inverse_is_the_identity() -> None:
    eyes = eyes_at(np.random.default_rng(1).uniform(0, 1000, (5, 2)), 73.0, 0.3)
    points = np.random.default_rng(2).uniform(-500, 2000, (50, 2))
    for matrix in alignment(eyes, np.arange(5) / 25, ALIGN, 256):
        np.testing.assert_allclose(
            transform_points(invert(matrix), transform_points(matrix, points)), points, atol=1e-9
        )


@pytest.mark.parametrize("distance", [20.0, 66.0, 500.0])
def test_a_warped_picture_has_its_marks_where_the_points_go(distance: float) -> None:
    """From a small face that is enlarged to one that is shrunk eight times."""
    size = int(distance * 12)
    image = np.zeros((size, size, 3), np.uint8)
    middle = np.array([[size / 2 + 0.3, size / 2.5]])
    eyes = eyes_at(middle, distance, 0.2)
    for x, y in eyes[0]:
        cv2.circle(image, (round(x * 16), round(y * 16)), round(distance / 8 * 16), (255, 255, 255), -1, cv2.LINE_AA, 4)
    matrix = alignment(eyes, np.zeros(1), ALIGN, 256)[0]
    crop = warp(image, matrix, 256)[:, :, 0].astype(np.float64)
    for half, target in zip((crop[:, :128], crop[:, 128:]), eye_targets(ALIGN, 256) - [[0, 0], [128, 0]], strict=True):
        ys, xs = np.mgrid[: half.shape[0], : half.shape[1]]
        centre = np.array([(xs * half).sum(), (ys * half).sum()]) / half.sum()
        np.testing.assert_allclose(centre, target, atol=0.35)


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((2000, 2000, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = alignment(eyes_at(np.array([[1000.0, 800.0]]), 500.0), np.zeros(1), ALIGN, 256)[0]
    assert warp(stripes, matrix, 256)[20:-20, 20:-20].std() < 12


@pytest.mark.parametrize("size", [16, 64, 96, 256])
def test_the_mask_redraws_43_75_per_cent(size: int) -> None:
    mask = keep_mask(size)
    assert mask.dtype == np.float32
    assert (mask == 0).sum() * 16 == 7 * size * size
    assert ((mask == 0) | (mask == 1)).all()


def test_the_mask_of_the_paper() -> None:
    rows, columns = redrawn_rows_and_columns(256)
    assert (rows, columns) == (slice(128, 256), slice(16, 240))
    assert (keep_mask(256) == 0).sum() == 28_672
    for size in (0, 40, 250):
        with pytest.raises(ValueError, match="multiple of 16"):
            keep_mask(size)


def test_the_soft_mask_stays_inside_and_reaches_one() -> None:
    soft = soft_redraw_mask(256)
    assert (soft[keep_mask(256) == 1] == 0).all()
    assert soft.min() == 0
    assert soft.max() == 1
    assert (soft[150:235, 40:215] == 1).all()
    assert (soft[[128, 255]] == 0).all()
    np.testing.assert_array_equal(soft, soft[:, ::-1])
    assert np.abs(np.diff(soft, axis=0)).max() < 0.15  # no seam


def oval(size: int, middle_x: float = 0.5) -> np.ndarray:
    """A face as wide as 0.5 of the crop, from 0.1 to 0.8 of its height."""
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    return size * np.stack([middle_x + 0.25 * np.cos(angle), 0.45 + 0.35 * np.sin(angle)], axis=1)


@pytest.mark.parametrize("size", [64, 256])
def test_a_face_is_pasted_and_what_is_beside_it_is_not(size: int) -> None:
    mask = face_mask(oval(size), size)
    at = {name: mask[round(y * size), round(x * size)] for name, (x, y) in PLACES.items()}
    assert min(at["mouth"], at["cheek"]) > 0.99
    assert at["chin of an opened jaw"] > 0.8
    assert at["beside the jaw"] < 0.08
    assert at["collar"] < 0.02
    assert np.abs(np.diff(mask, axis=0)).max() < 25 / size  # no seam


PLACES = {
    "mouth": (0.5, 0.65),
    "cheek": (0.34, 0.5),
    "chin of an opened jaw": (0.5, 0.81),
    "beside the jaw": (0.75, 0.75),
    "collar": (0.5, 0.95),
}


def test_the_mask_follows_the_face() -> None:
    left, right = face_mask(oval(256, 0.4), 256), face_mask(oval(256, 0.6), 256)
    np.testing.assert_allclose(left[:, 20:180], right[:, 71:231], atol=0.1)  # a fifth of a pixel apart


def test_colours_meet_at_the_edge_and_keep_what_they_show() -> None:
    """The drawn crop is 12 levels too dark, except for a stripe that is something else."""
    rng = np.random.default_rng(0)
    source = cv2.GaussianBlur(rng.integers(60, 200, (256, 256, 3), dtype=np.uint8), (0, 0), 6)
    alpha = soft_redraw_mask(256) * face_mask(oval(256), 256)
    drawn = source - 12
    drawn[190:230, 100:150] = 250
    matched = match_colour(drawn, source, alpha).astype(int)
    edge = (alpha > 0.2) & (alpha < 0.8)
    edge[180:, 90:160] = False
    assert np.abs(matched[edge] - source[edge]).mean() < 1.5
    assert np.abs(drawn[edge].astype(int) - source[edge]).mean() > 11
    assert matched[150, 128] == pytest.approx(source[150, 128], abs=3)  # the middle goes with its edge


def test_colours_of_another_picture_tell_nothing() -> None:
    source, drawn = np.full((256, 256, 3), 40, np.uint8), np.full((256, 256, 3), (20, 220, 40), np.uint8)
    np.testing.assert_allclose(match_colour(drawn, source, soft_redraw_mask(256)).astype(int), drawn, atol=1)


@pytest.mark.parametrize(("gain", "offset"), [(0.1, 0), (0.4, 10), (0.3, 170)])
def test_a_face_in_another_light_meets_its_source(gain: float, offset: int) -> None:
    """As in a fade to black or white: the same face, darker or paler by far more than the colours of skin differ."""
    drawn = cv2.GaussianBlur(face_picture(256, 256, (128, 128), 150), (0, 0), 1)
    source = np.clip(drawn * gain + offset, 0, 255).astype(np.uint8)
    alpha = soft_redraw_mask(256)
    off = np.abs(match_colour(drawn, source, alpha).astype(int) - source).max(2)[alpha > 0.2]
    assert off.mean() < 4
    assert np.abs(drawn.astype(int) - source).max(2)[alpha > 0.2].mean() > 20


@pytest.mark.parametrize("distance", [15.0, 50.0, 190.0])
def test_pasting_changes_the_redrawn_region_alone(distance: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (700, 640, 3), dtype=np.uint8)
    before = image.copy()
    matrix = alignment(eyes_at(np.array([[320.0, 260.0]]), distance, 0.15), np.zeros(1), ALIGN, 256)[0]
    paste(image, np.full((256, 256, 3), (20, 220, 40), np.uint8), matrix, soft_redraw_mask(256))
    ys, xs = np.mgrid[:700, :640]
    at = transform_points(matrix, np.stack([xs, ys], axis=-1).astype(np.float64))
    outside = (at[..., 0] < 16) | (at[..., 0] > 239) | (at[..., 1] < 128) | (at[..., 1] > 255)
    np.testing.assert_array_equal(image[outside], before[outside])
    inside = (at[..., 0] > 40) & (at[..., 0] < 215) & (at[..., 1] > 152) & (at[..., 1] < 205)
    np.testing.assert_allclose(image[inside], np.broadcast_to([20, 220, 40], image[inside].shape), atol=1)


def test_pasting_the_crop_itself_changes_hardly_anything() -> None:
    ys, xs = np.mgrid[:480, :640]
    image = np.stack([xs / 3, ys / 2, 128 + 60 * np.sin(xs / 20) * np.cos(ys / 25)], axis=-1).astype(np.uint8)
    matrix = alignment(eyes_at(np.array([[330.0, 180.0]]), 66.0, 0.1), np.zeros(1), ALIGN, 256)[0]
    pasted = image.copy()
    paste(pasted, warp(image, matrix, 256), matrix, soft_redraw_mask(256))
    assert np.abs(pasted.astype(int) - image).max() <= 3


def test_pasting_off_the_picture_is_harmless() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    crop = np.full((256, 256, 3), 255, np.uint8)
    for middle in ([-500.0, -500.0], [90.0, 60.0], [50.0, 99.0]):
        matrix = alignment(eyes_at(np.array([middle]), 40.0), np.zeros(1), ALIGN, 256)[0]
        paste(image, crop, matrix, soft_redraw_mask(256))
    assert image.max() > 200


def test_mouth_opening_by_hand() -> None:
    mouth = np.zeros((2, 20, 2), np.float32)
    mouth[0, 14], mouth[0, 18] = (50, 60), (50, 75)
    eyes = np.array([[[20, 10], [70, 10]]] * 2, np.float32)
    np.testing.assert_allclose(mouth_opening(mouth, eyes), [0.3, 0])
