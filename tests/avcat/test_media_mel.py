"""The mel against a slow reference, and where its columns sit, by impulses."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
from drawn import MEL, tone

from avcat.errors import InputError
from avcat.media.mel import (
    COLUMNS_PER_FRAME,
    WINDOW_COLUMNS,
    column_centre,
    cut,
    frame_count,
    mel_spectrogram,
    mel_windows,
    window_starts,
)


def impulse(at: int, length: int = 16_000) -> np.ndarray:
    samples = np.zeros(length, np.float32)
    samples[at] = 1
    return samples


@pytest.mark.parametrize("column", [10, 33, 71])
def test_a_column_is_centred_exactly_where_column_centre_says(column: int) -> None:
    centre = column_centre(column, MEL)
    assert centre == 160 * column + 80
    loudness = mel_spectrogram(impulse(centre), MEL).mean(axis=0)
    assert loudness.argmax() == column
    np.testing.assert_allclose(loudness[column - 3 : column], loudness[column + 3 : column : -1], atol=1e-5)


def test_an_impulse_between_two_columns_is_equally_loud_in_both() -> None:
    loudness = mel_spectrogram(impulse(160 * 40), MEL).mean(axis=0)
    assert set(np.argsort(loudness)[-2:]) == {39, 40}
    assert loudness[39] == pytest.approx(loudness[40], abs=1e-5)


def test_the_window_of_a_frame_is_centred_on_its_middle() -> None:
    for frame in (3, 10, 21):
        mel = mel_spectrogram(impulse(640 * frame + 320), MEL)
        loudness = mel_windows(mel, np.array([frame]))[0].mean(axis=0)
        np.testing.assert_allclose(loudness, loudness[::-1], atol=1e-5)
        assert loudness[9] == pytest.approx(loudness.max(), abs=1e-6)


def test_slow_reference() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(5_000).astype(np.float32) * 0.03
    filters = librosa.filters.mel(sr=16_000, n_fft=1280, n_mels=80, fmin=125, fmax=7600)
    window = 0.5 * np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1280) / 1280))
    levelled = samples / np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 0.1
    mel = mel_spectrogram(samples, MEL)
    assert mel.shape == (80, 32)  # 5000 samples are 7.8 frames
    for column in range(32):
        piece = np.zeros(1280)
        for n in range(1280):
            at = 160 * column + 80 - 640 + n
            piece[n] = levelled[at] if 0 <= at < 5_000 else 0
        decibels = 20 * np.log10(np.maximum(1e-5, filters @ np.abs(np.fft.rfft(piece * window)))) - 20
        np.testing.assert_allclose(mel[:, column], np.clip((decibels + 100) / 100, 0, 1), atol=2e-4)


def test_loudness_of_the_file_does_not_matter() -> None:
    np.testing.assert_allclose(mel_spectrogram(tone(1), MEL), mel_spectrogram(tone(1) / 50, MEL), atol=1e-4)


def test_silence_is_zero_and_stays_finite() -> None:
    for samples in (np.zeros(8_000, np.float32), np.zeros(0, np.float32), np.full(8_000, 1e-12, np.float32)):
        mel = mel_spectrogram(samples, MEL, frames=10)
        assert mel.shape == (80, 40)
        assert (mel == 0).all()


def test_frames_cover_the_sound_and_more_are_silence() -> None:
    assert [frame_count(n, MEL) for n in (0, 1, 640, 641, 16_000)] == [0, 1, 1, 2, 25]
    short, long = mel_spectrogram(tone(1), MEL), mel_spectrogram(tone(1), MEL, frames=40)
    np.testing.assert_array_equal(short, long[:, :100])
    assert (long[:, 104:] == 0).all()
    np.testing.assert_array_equal(mel_spectrogram(tone(1), MEL, frames=10), short[:, :40])


def test_long_files_are_the_same_in_chunks() -> None:
    samples = np.random.default_rng(1).standard_normal(16_000 * 45).astype(np.float32) * 0.1
    mel = mel_spectrogram(samples, MEL)
    assert mel.shape == (80, 4500)
    piece = mel_spectrogram(samples[160 * 4080 : 160 * 4120], replace(MEL, rms=0.1))
    np.testing.assert_allclose(
        mel[:, 4090:4100], piece[:, 10:20], atol=0.01
    )  # across the chunk's edge, up to the level


def test_windows_by_hand() -> None:
    mel = np.tile(np.arange(1, 41, dtype=np.float32), (80, 1))  # ten frames; a column's value is its number + 1
    np.testing.assert_array_equal(mel_windows(mel, np.array([5]))[0][0], np.arange(4 * 3, 4 * 8) + 1)
    np.testing.assert_array_equal(mel_windows(mel, np.array([0]))[0][0], [0] * 8 + list(range(1, 13)))
    np.testing.assert_array_equal(mel_windows(mel, np.array([9]))[0][0], [*range(29, 41), *[0] * 8])
    windows = mel_windows(mel, np.arange(10))
    assert windows.shape == (10, 80, WINDOW_COLUMNS)
    assert windows.dtype == np.float32
    for frame in range(10):
        np.testing.assert_array_equal(windows[frame], mel_windows(mel, np.array([frame]))[0])
    assert (mel_windows(mel, np.array([100]))[0] == 0).all()
    assert (mel_windows(np.zeros((80, 0), np.float32), np.array([0])) == 0).all()


def test_windows_at_any_time() -> None:
    mel = np.tile(np.arange(1, 401, dtype=np.float32), (80, 1))
    frames = np.arange(100)
    np.testing.assert_array_equal(cut(mel, window_starts(frames / 25)), mel_windows(mel, frames))
    at_30_fps = cut(mel, window_starts(np.arange(90) / 30))[:, 0, 10]
    wanted = np.rint(np.arange(90) / 30 * 100) + 2 + 1
    np.testing.assert_array_equal(at_30_fps, wanted)


def test_a_hop_that_does_not_fit_the_frames_is_refused() -> None:
    assert COLUMNS_PER_FRAME == 4
    with pytest.raises(InputError, match="hop_size"):
        mel_spectrogram(tone(1), replace(MEL, hop_size=200))
