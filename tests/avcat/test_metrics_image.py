"""SSIM and the two PSNRs against scikit-image, closed forms and figures computed by hand."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from avcat.metrics.image import psnr, psnr_uint8_legacy, ssim


@pytest.fixture
def clip() -> np.ndarray:
    """Three smooth coloured frames, so that a shift by one pixel changes little."""
    y, x = np.mgrid[0:64, 0:80]
    waves = [128 + 60 * np.sin(x / (5 + t) + c) + 50 * np.cos(y / (7 + t)) for t in range(3) for c in range(3)]
    return np.stack(waves).reshape(3, 3, 64, 80).transpose(0, 2, 3, 1).astype(np.uint8)


def reference_ssim(a: np.ndarray, b: np.ndarray) -> float:
    return structural_similarity(
        a.astype(np.float64),
        b.astype(np.float64),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
    )


def test_equal_clips(clip: np.ndarray) -> None:
    assert ssim(clip, clip).tolist() == [1.0] * 3
    assert psnr(clip, clip).tolist() == [np.inf] * 3
    assert psnr_uint8_legacy(clip, clip).tolist() == [100.0] * 3


@pytest.mark.parametrize("kind", ["shifted", "noisy", "unrelated"])
def test_ssim_is_scikit_images(clip: np.ndarray, kind: str) -> None:
    rng = np.random.default_rng(0)
    other = {
        "shifted": np.roll(clip, 1, axis=2),
        "noisy": np.clip(clip + rng.normal(0, 12, clip.shape), 0, 255).astype(np.uint8),
        "unrelated": rng.integers(0, 256, clip.shape, dtype=np.uint8),
    }[kind]
    expected = [reference_ssim(a, b) for a, b in zip(clip, other, strict=True)]
    np.testing.assert_allclose(ssim(clip, other), expected, atol=1e-10)
    assert max(expected) < 0.999


def test_ssim_of_constant_pictures_is_the_luminance_term_alone() -> None:
    a, b = np.full((1, 32, 32, 3), 100, np.uint8), np.full((1, 32, 32, 3), 150, np.uint8)
    c1 = 2.55**2
    assert ssim(a, b)[0] == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-9)


def test_psnr_of_noise_of_known_size() -> None:
    rng = np.random.default_rng(1)
    truth = np.full((2, 128, 128, 3), 128, np.uint8)
    noisy = np.rint(128 + rng.normal(0, 10, truth.shape)).astype(np.uint8)
    # Rounding adds 1/12 to the variance.
    assert psnr(truth, noisy) == pytest.approx(10 * np.log10(255**2 / (100 + 1 / 12)), abs=0.1)


def test_psnr_of_one_shifted_pixel() -> None:
    truth = np.zeros((1, 10, 10, 3), np.uint8)
    truth[0, 5, 5] = 50
    shifted = np.roll(truth, 1, axis=2)  # two of a hundred pixels are off by 50
    assert psnr(truth, shifted)[0] == pytest.approx(10 * np.log10(255**2 / (2 * 2500 / 100)))


def test_legacy_psnr_wraps_difference_and_square() -> None:
    # Grey 10 against grey 120. Wrapped difference: 10 - 120 = -110 -> 146. Its square: 21316 = 83 * 256 + 68 -> 68.
    truth, drawn = np.full((1, 16, 16, 3), 10, np.uint8), np.full((1, 16, 16, 3), 120, np.uint8)
    assert psnr_uint8_legacy(truth, drawn)[0] == pytest.approx(10 * np.log10(255**2 / 68))
    assert psnr(truth, drawn)[0] == pytest.approx(10 * np.log10(255**2 / 110**2))  # 7.3 dB in truth, 29.8 legacy


def test_legacy_psnr_turns_unrelated_pictures_into_twenty_eight_decibels() -> None:
    rng = np.random.default_rng(2)
    a, b = (np.repeat(rng.integers(0, 256, (1, 256, 256, 1), dtype=np.uint8), 3, axis=3) for _ in range(2))
    assert psnr(a, b)[0] == pytest.approx(7.75, abs=0.05)  # uniform noise: mean square 65535 / 6
    # The squares of 0..255 modulo 256 average 105.5, so that no two pictures are worse than about 27.9 dB.
    assert psnr_uint8_legacy(a, b)[0] == pytest.approx(27.90, abs=0.05)


def test_legacy_psnr_wraps_where_a_multiple_of_sixteen_vanishes() -> None:
    # Off by 16 everywhere: 256 wraps to 0, and the script calls it equal. That is what the wrap means.
    truth = np.full((1, 8, 8, 3), 100, np.uint8)
    assert psnr_uint8_legacy(truth, truth + np.uint8(16))[0] == 100.0


def test_clips_must_match(clip: np.ndarray) -> None:
    with pytest.raises(AssertionError, match="different shapes"):
        psnr(clip, clip[:2])
    with pytest.raises(AssertionError, match="8-bit"):
        ssim(clip.astype(np.float32), clip.astype(np.float32))
