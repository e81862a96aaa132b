"""Detail of redrawn faces: brought up to the source's, within bounds, and only in the redrawn region."""

import cv2
import numpy as np
import pytest

from avcat.dubbing.detail import Detail, amount
from avcat.dubbing.paste import paste
from avcat.dubbing.region import soft_redraw_mask
from avcat.seeding import rng_of


def texture(side: int = 128) -> np.ndarray:
    """float32 [side, side, 3] of skin with pores."""
    noise = rng_of("pores").normal(0, 12, (side, side, 1))
    return np.asarray(cv2.GaussianBlur(150 + noise, (0, 0), 0.8), np.float32)[:, :, None] * np.ones(3, np.float32)


def energy(picture: np.ndarray) -> float:
    return float(np.square(picture - cv2.GaussianBlur(picture, (0, 0), 1.2)).mean())


def test_how_much() -> None:
    assert amount(4.0, 4.0) == amount(1.0, 4.0) == amount(1.0, 0.0) == 0
    assert amount(2.25, 1.0) == pytest.approx(0.5)
    assert amount(100.0, 1.0) == 0.8


def test_a_blurred_face_gets_the_detail_of_its_source() -> None:
    source = texture()
    drawn, weight = cv2.GaussianBlur(source, (0, 0), 0.7), np.ones((128, 128, 1), np.float32)
    sharp = Detail()(drawn, source, weight, 2.0)
    before, after, wanted = energy(drawn), energy(sharp), energy(source)
    assert before < 0.7 * wanted
    assert before < after < 1.1 * wanted
    assert abs(wanted - after) < 0.5 * (wanted - before)
    assert np.square(sharp - source).mean() < np.square(drawn - source).mean()
    assert sharp.mean() == pytest.approx(drawn.mean(), abs=0.1)


def test_what_is_sharp_enough_or_finer_than_the_picture_stays() -> None:
    source, weight = texture(), np.ones((128, 128, 1), np.float32)
    blurred = cv2.GaussianBlur(source, (0, 0), 1.0)
    np.testing.assert_array_equal(Detail()(source, blurred, weight, 2.0), source)
    np.testing.assert_array_equal(Detail()(blurred, source, weight, 1.1), blurred)


def test_it_does_not_flicker() -> None:
    """One frame whose source is blurred, as in a quick turn, hardly changes how much is added."""
    detail, weight, source = Detail(), np.ones((128, 128, 1), np.float32), texture()
    drawn = cv2.GaussianBlur(source, (0, 0), 0.7)
    for _ in range(30):
        usual = detail(drawn, source, weight, 2.0)
    moved = detail(drawn, drawn, weight, 2.0)
    assert np.abs(moved - usual).max() < 0.15 * np.abs(usual - drawn).max()


def test_pasted_sharpening_stays_inside_the_region() -> None:
    image = texture(256).astype(np.uint8)
    crop = cv2.resize(cv2.GaussianBlur(image, (0, 0), 1.5), (64, 64), interpolation=cv2.INTER_AREA)
    alpha, matrix = soft_redraw_mask(64), np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])
    plain, sharp = image.copy(), image.copy()
    paste(plain, crop, matrix, alpha)
    paste(sharp, crop, matrix, alpha, Detail(), 64)
    np.testing.assert_array_equal(sharp[:128], image[:128])
    region = slice(160, 240), slice(60, 196)
    assert energy(sharp[region].astype(np.float32)) > 1.3 * energy(plain[region].astype(np.float32))
    again = image.copy()
    paste(again, crop, matrix, alpha, Detail(), 256)  # a network's picture as fine as the source needs no sharpening
    np.testing.assert_array_equal(again, plain)
