"""How alike two pictures are: SSIM and PSNR, and the PSNR that publications of this field most probably print.

Legend: T frames, H x W pixels, 3 channels in RGB order. Both clips are `uint8 [T, H, W, 3]`; every function gives one
`float64` per frame, `[T]`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
SSIM_SIGMA = 1.5  # Wang et al. 2004: an 11 x 11 Gaussian window of 1.5 px,
SSIM_RADIUS = 5
SSIM_C1 = (0.01 * PEAK) ** 2  # K1 = 0.01, K2 = 0.03
SSIM_C2 = (0.03 * PEAK) ** 2
LEGACY_EQUAL_SCORE = 100.0  # what the legacy script gives for equal pictures, and the paper's ground truth has

Clip = NDArray[np.uint8]
PerFrame = NDArray[np.float64]


def ssim(truth: Clip, drawn: Clip) -> PerFrame:
    """Structural similarity [Wang et al. 2004], -1..1 with 1 for equal frames, mean over pixels and channels.

    Gaussian weights, population covariance, 8-bit range, float64, borders of the window's radius left out: the same
    figures as scikit-image's `structural_similarity` with those settings, about eight times as fast.
    """
    _check(truth, drawn)
    return np.array([_ssim_of_frame(a, b) for a, b in zip(truth, drawn, strict=True)])


def _ssim_of_frame(truth: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> float:
    if np.array_equal(truth, drawn):
        return 1.0
    x, y = truth.astype(np.float64), drawn.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    mean_xx, mean_yy, mean_xy = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    variances = _blur(x * x + y * y) - mean_xx - mean_yy
    covariance = _blur(x * y) - mean_xy
    numerator = (2 * mean_xy + SSIM_C1) * (2 * covariance + SSIM_C2)
    denominator = (mean_xx + mean_yy + SSIM_C1) * (variances + SSIM_C2)
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return float((numerator / denominator)[inner, inner].mean())


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    side = 2 * SSIM_RADIUS + 1
    return np.asarray(cv2.GaussianBlur(image, (side, side), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT))


def psnr(truth: Clip, drawn: Clip) -> PerFrame:
    """Peak signal-to-noise ratio in dB over all pixels and channels, in float64; `inf` for equal frames."""
    _check(truth, drawn)
    difference = truth.astype(np.float64) - drawn
    error = np.mean(difference * difference, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / error)


def psnr_uint8_legacy(truth: Clip, drawn: Clip) -> PerFrame:
    """PSNR as a script computes it that takes `(a - b) ** 2` of grey 8-bit pictures without widening them, in dB.

    The difference and its square wrap modulo 256, so no squared error exceeds 255 and the figure is far too high; equal
    frames score 100, as the paper's ground truth does. It is only for comparison with published columns.
    """
    _check(truth, drawn)
    grey_truth, grey_drawn = _grey(truth), _grey(drawn)
    wrapped = (grey_truth - grey_drawn) ** 2
    assert wrapped.dtype == np.uint8
    error = wrapped.mean(axis=(1, 2), dtype=np.float64)
    equal = error == 0
    return np.where(equal, LEGACY_EQUAL_SCORE, 10 * np.log10(PEAK**2 / np.where(equal, 1, error)))


def _grey(clip: Clip) -> NDArray[np.uint8]:
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]).astype(np.uint8, copy=False)


def _check(truth: Clip, drawn: Clip) -> None:
    assert truth.dtype == drawn.dtype == np.uint8, "pictures are 8-bit"
    assert truth.shape == drawn.shape, f"clips of different shapes: {truth.shape} and {drawn.shape}"
    assert truth.ndim == 4, "frames first, channels last"
    assert truth.shape[-1] == 3, "frames first, channels last"
