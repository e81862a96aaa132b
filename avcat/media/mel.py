"""The log-mel spectrogram, and which of its columns belong to which frame. Used by training and dubbing.

The recipe is PC-AVS's (DESIGN: the paper gives only rate, FFT, hop and bands): the whole file is scaled to one RMS, no
pre-emphasis, the magnitude of the spectrum (not its power), Slaney's filters, 20 log10(max(1e-5, .)) - 20, and
(. + 100) / 100 clipped to 0..1. Two differences are deliberate: each column is centred on its sound (theirs is 35 ms
early), and the window 0.5 sqrt(hann) is applied in full here, so that the level is the same as theirs.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

import librosa
import numpy as np
import scipy.fft
from pydantic import Field

from avcat.data.schema import FPS, WINDOW_FRAMES
from avcat.errors import InputError
from avcat.media.pretrained import Samples, feature_chunks
from avcat.settings import Count, settings

COLUMNS_PER_FRAME = 4
WINDOW_COLUMNS = WINDOW_FRAMES * COLUMNS_PER_FRAME
COLUMNS_PER_SECOND = COLUMNS_PER_FRAME * FPS

_SILENT_RMS = 1e-5  # -100 dBFS: quieter sound is not amplified to the full level, so silence stays silence
_CHUNK_COLUMNS = 4096  # limits the memory for long files: 4096 * 1280 * 4 bytes = 20 MiB


@settings
class PretrainedConfig:
    """A network with features used in place of mels (the paper's future work): wav2vec 2.0, HuBERT, WavLM."""

    path: str  # the folder written by `save_pretrained` of transformers; AVCAT_FEATURES overrides it
    sha256: str  # of the file of its weights, or its first digits
    layer: Annotated[int, Field(ge=0, le=1000)]  # its output is used; 0: the input of the first


@settings
class MelConfig:
    """Log-mel spectrogram (paper, section 4: 16 kHz, FFT 1280, hop 160, 80 bands; the rest is PC-AVS's recipe)."""

    sample_rate: Count
    fft_size: Count
    hop_size: Count
    bands: Count  # or the number of features of a pretrained network
    low_hz: float
    high_hz: float
    rms: float  # the whole file is scaled to this root mean square
    pretrained: PretrainedConfig | None = None  # used in place of mels; absent in older model files


def column_centre(column: int, config: MelConfig) -> int:
    """The sample that column `column` is centred on: hop * column + hop / 2."""
    return config.hop_size * column + config.hop_size // 2


def frame_count(samples: int, config: MelConfig) -> int:
    """Number of frames of the 25 fps grid that cover `samples`."""
    return -(-samples * FPS // config.sample_rate)


def mel_spectrogram(samples: np.ndarray, config: MelConfig, frames: int | None = None) -> np.ndarray:
    """float32 [bands, 4 * frames] in 0..1 of float [samples] at `config.sample_rate`.

    `frames` defaults to the number that covers the sound. Beyond the sound there is silence, which is 0.
    Raises InputError if the hop does not give exactly four columns per frame.
    """
    if config.hop_size * COLUMNS_PER_SECOND != config.sample_rate or config.hop_size % 2:
        raise InputError(
            f"mel.hop_size: {config.hop_size} samples at {config.sample_rate} Hz do not make {COLUMNS_PER_FRAME} "
            f"columns per frame at {FPS} fps"
        )
    if frames is None:
        frames = frame_count(samples.size, config)
    columns = frames * COLUMNS_PER_FRAME
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
    chunks = mel_chunks(iter([samples]), gain(rms, config), columns, config)
    return np.concatenate([np.zeros((config.bands, 0), np.float32), *chunks], axis=1)


def gain(rms: float, config: MelConfig) -> float:
    """The factor for the samples that changes the root mean square of a whole file from `rms` to `config.rms`."""
    return config.rms / max(rms, _SILENT_RMS)


def mel_chunks(blocks: Iterator[np.ndarray], by: float, columns: int, config: MelConfig) -> Iterator[np.ndarray]:
    """The spectrogram's first `columns` columns in pieces, float32 [bands, up to 4096], of float [n] sample blocks.

    The samples are multiplied `by`; beyond their end there is silence. If `config` names a pretrained network, the
    columns are its features (`avcat.media.pretrained`).
    """
    if config.pretrained is not None:
        yield from feature_chunks(blocks, by, columns, config)
        return
    hop, size = config.hop_size, config.fft_size
    early = size // 2 - column_centre(0, config)
    samples = Samples(blocks, by, early)
    for start in range(0, columns, _CHUNK_COLUMNS):
        count = min(_CHUNK_COLUMNS, columns - start)
        first = hop * start - early
        yield _columns(samples.between(first, first + hop * (count - 1) + size), config)


def _columns(samples: np.ndarray, config: MelConfig) -> np.ndarray:
    """float32 [bands, n] of float32 [hop * (n - 1) + fft_size]."""
    pieces = np.lib.stride_tricks.sliding_window_view(samples, config.fft_size)[:: config.hop_size]
    magnitude = np.abs(scipy.fft.rfft(pieces * _window(config.fft_size)))
    decibels = 20 * np.log10(np.maximum(1e-5, _filters(config) @ magnitude.T)) - 20
    return np.asarray(np.clip((decibels + 100) / 100, 0, 1), np.float32)


@lru_cache(maxsize=4)
def _window(size: int) -> np.ndarray:
    """0.5 sqrt(hann), float32 [size]; periodic, so that its peak is exactly at size / 2."""
    return np.asarray(0.5 * np.sin(np.pi * np.arange(size) / size), np.float32)


@lru_cache(maxsize=4)
def _filters(config: MelConfig) -> np.ndarray:
    """Slaney's triangles of equal area, float32 [bands, fft_size / 2 + 1]."""
    return librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.fft_size,
        n_mels=config.bands,
        fmin=config.low_hz,
        fmax=config.high_hz,
    ).astype(np.float32)


def shifted(mel: np.ndarray, frames: int) -> np.ndarray:
    """The sound shifted `frames` to the right (later; left if negative), filled with silence."""
    columns = mel.shape[1]
    moved, by = np.zeros_like(mel), COLUMNS_PER_FRAME * frames
    moved[:, max(by, 0) : columns + min(by, 0)] = mel[:, max(-by, 0) : columns - max(by, 0)]
    return moved


def mel_windows(mel: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """float32 [N, bands, 20] for the int [N] frames t: columns 4 (t - 2) .. 4 (t + 3) - 1, centred on frame t."""
    return cut(mel, COLUMNS_PER_FRAME * (np.asarray(frames) - WINDOW_FRAMES // 2))


def window_starts(times_s: np.ndarray) -> np.ndarray:
    """int64 [N]: first columns of the windows of frames shown from `times_s` float [N] on, at any frame rate.

    A frame at t / 25 gets exactly the window of grid frame t; others get the nearest column's.
    """
    first = np.rint(np.asarray(times_s) * COLUMNS_PER_SECOND).astype(np.int64)
    return first - COLUMNS_PER_FRAME * (WINDOW_FRAMES // 2)


def cut(mel: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """float32 [N, bands, 20]: windows that begin at the columns `starts`, int [N]; silence (0) outside the sound."""
    windows = np.zeros((starts.size, mel.shape[0], WINDOW_COLUMNS), np.float32)
    for window, start in zip(windows, starts.tolist(), strict=True):
        first, stop = max(start, 0), min(start + WINDOW_COLUMNS, mel.shape[1])
        if first < stop:
            window[:, first - start : stop - start] = mel[:, first:stop]
    return windows
