"""Cepstra by hand, by slow sums, and as given by the package with the same arithmetic."""

import math

import numpy as np
import pytest

from avcat.metrics.mfcc import FULL_SCALE, edges, filters, mfcc


def test_silence_by_hand() -> None:
    """The logarithm of the smallest power there is, 52 log 2 below 0, the same in all bands: their shape is flat."""
    rows = mfcc(np.zeros(800, np.float32))
    assert rows.shape == (4, 13)
    assert rows[:, 0] == pytest.approx(-52 * math.log(2))
    assert np.abs(rows[:, 1:]).max() < 1e-6


def test_an_impulse_by_hand() -> None:
    """1000 and, by pre-emphasis, -970: |1000 - 970 e^-iw|^2 sums to 257 (1000^2 + 970^2), for the cosines cancel."""
    samples = np.zeros(400, np.float32)
    samples[0] = 1000 / FULL_SCALE
    assert mfcc(samples)[0, 0] == pytest.approx(math.log(257 * (1000**2 + 970**2) / 512))


def test_rows_begin_every_10_ms_and_last_25() -> None:
    assert [len(mfcc(np.zeros(n, np.float32))) for n in (1, 400, 401, 560, 561, 16_000)] == [1, 1, 2, 2, 3, 99]
    samples = np.zeros(4000, np.float32)
    samples[1600] = 0.5  # in rows 8 to 10; the one after it, which pre-emphasis leaves, too
    loud = np.flatnonzero(mfcc(samples)[:, 0] > 0)
    assert loud.tolist() == [8, 9, 10]


def test_the_edges_of_the_bands() -> None:
    """By hand for the second: 2840.02 mel / 27 is 105.19 mel, 68.4 Hz, 2.19 of 513 / 16000 bins a hertz."""
    assert edges().tolist()[:8] == [0, 2, 4, 7, 10, 13, 16, 20]
    assert edges().tolist()[-4:] == [188, 209, 231, 256]
    assert filters()[2, 4:11].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0])


def test_one_row_by_slow_sums() -> None:
    """Fourier and cosine transform written out, with nothing of numpy's."""
    rng = np.random.default_rng(0)
    whole = rng.integers(-20_000, 20_000, 400)
    x = [float(whole[0])] + [float(whole[i] - 0.97 * whole[i - 1]) for i in range(1, 400)]
    power = []
    for k in range(257):
        re = math.fsum(v * math.cos(2 * math.pi * k * i / 512) for i, v in enumerate(x))
        im = math.fsum(v * math.sin(2 * math.pi * k * i / 512) for i, v in enumerate(x))
        power.append((re * re + im * im) / 512)
    e = edges().tolist()
    bands = []
    for b in range(26):
        up = math.fsum(power[k] * (k - e[b]) / (e[b + 1] - e[b]) for k in range(e[b], e[b + 1]))
        down = math.fsum(power[k] * (e[b + 2] - k) / (e[b + 2] - e[b + 1]) for k in range(e[b + 1], e[b + 2]))
        bands.append(math.log(up + down))
    expected = [math.log(math.fsum(power))]
    for n in range(1, 13):
        cosine = math.fsum(v * math.cos(math.pi * n * (2 * b + 1) / 52) for b, v in enumerate(bands))
        expected.append(cosine * math.sqrt(2 / 26) * (1 + 11 * math.sin(math.pi * n / 22)))
    np.testing.assert_allclose(mfcc(whole / FULL_SCALE)[0], expected, rtol=1e-5)


def test_what_python_speech_features_0_6_gives() -> None:
    """Row 3 of `mfcc(x, 16000)` for a saw of 200 samples whose steps go round by 37."""
    golden = [23.183509, -44.275393, -10.201640, -3.219838, -5.766969, -11.689663, 16.147808, -13.258775]
    golden += [-9.336170, 28.215848, 7.972463, -2.688719, 8.449627]
    saw = (np.arange(1600) * 37 % 200 * 100 - 10_000) / FULL_SCALE
    np.testing.assert_allclose(mfcc(saw)[3], golden, rtol=1e-6)
