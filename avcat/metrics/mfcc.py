"""Cepstra of a sound as the official SyncNet was trained on them: `python_speech_features.mfcc` with its defaults.

13 coefficients, 25 ms every 10 ms, no window function, at 16 kHz. Only that network uses it; ours use mels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

SAMPLE_RATE = 16_000
WINDOW, HOP, FFT_SIZE = 400, 160, 512
BANDS, COEFFICIENTS = 26, 13
PRE_EMPHASIS = 0.97
LIFTER = 22  # coefficient n is multiplied by 1 + LIFTER / 2 sin(pi n / LIFTER)
FULL_SCALE = 32768  # of the 16-bit samples that the package is given

_TINY = np.finfo(np.float64).eps  # replaces a power of zero, which has no logarithm


def mfcc(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Sound `float [n]` in -1..1 at 16 kHz -> `float32 [1 + ceil((n - 400) / 160), 13]`, one row every 10 ms.

    Row r covers samples 160 r .. 160 r + 399, zeros after the end. Coefficient 0 is the logarithm of the row's energy.
    Samples are rounded to 16 bits first, as they are in the WAV files that the official tool reads.
    """
    assert len(samples) > 0, "no sound"
    scaled = np.clip(np.rint(samples.astype(np.float64) * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    emphasised = np.append(scaled[:1], scaled[1:] - PRE_EMPHASIS * scaled[:-1])
    rows = 1 + max(0, -(-(len(scaled) - WINDOW) // HOP))
    padded = np.zeros((rows - 1) * HOP + WINDOW)
    padded[: len(emphasised)] = emphasised[: len(padded)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(windows, FFT_SIZE)) ** 2 / FFT_SIZE
    bands = np.log(_not_zero(power @ filters().T))
    cepstra = dct(bands, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra[:, 0] = np.log(_not_zero(power.sum(axis=1)))
    return cepstra.astype(np.float32)


def edges() -> NDArray[np.int64]:
    """int [28]: the FFT bins at which the triangles begin, peak and end, even on the mel scale from 0 to 8000 Hz."""
    mels = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), BANDS + 2)
    hertz = 700 * (10 ** (mels / 2595) - 1)
    return np.floor((FFT_SIZE + 1) * hertz / SAMPLE_RATE).astype(np.int64)


def filters() -> NDArray[np.float64]:
    """[26, 257]: triangles of height 1 between those bins."""
    bins, out = edges(), np.zeros((BANDS, FFT_SIZE // 2 + 1))
    for band, (start, peak, stop) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        out[band, start:peak] = (np.arange(start, peak) - start) / (peak - start)
        out[band, peak:stop] = (stop - np.arange(peak, stop)) / (stop - peak)
    return out


def _not_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values == 0, _TINY, values)
