"""Reading sound: any container, rate, depth and number of channels to mono float32 on the file's own clock."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soxr

from avcat.errors import InputError
from avcat.media.video import container_start_s, open_media

_GAP_S = 0.1  # holes in the time stamps longer than this are silence; shorter ones are rounding


def load_audio(path: str | Path, sample_rate: int = 16_000) -> np.ndarray:
    """The first audio stream of `path` as float32 [samples] in about -1..1, the mean of its channels.

    Sample 0 is time 0 of the container, the same as for `avcat.media.video`: an encoder's priming is left out, a sound
    that starts late is preceded by zeros. n source samples at rate r become round(n * sample_rate / r), with no delay.
    Raises InputError where the file is missing, empty, holds no sound or breaks off.
    """
    resampler: soxr.ResampleStream | None = None
    parts: list[np.ndarray] = []
    for rate, block in _blocks(path):
        if resampler is None and rate != sample_rate:
            resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
        parts.append(resampler.resample_chunk(block) if resampler else block)
    if resampler:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def audio_duration(path: str | Path) -> float:
    """Seconds from time 0 of the container to the end of the sound, by decoding: headers are often wrong."""
    rate, samples = 1, 0
    for rate, block in _blocks(path):  # noqa: B007
        samples += block.size
    return samples / rate


def has_audio(path: str | Path) -> bool:
    """Whether `path`, which libav can open, has an audio stream."""
    with open_media(path) as container:
        return bool(container.streams.audio)


def _blocks(path: str | Path) -> Iterator[tuple[int, np.ndarray]]:
    """(rate in Hz, mono float32 [n]) one after the other without holes, from time 0 on."""
    with open_media(path) as container:
        if not container.streams.audio:
            raise InputError(f"{path}: no audio stream")
        origin = container_start_s(container)
        position = 0
        for frame in container.decode(container.streams.audio[0]):
            block, rate = _mono(frame), frame.sample_rate
            hole = 0 if frame.time is None else round((frame.time - origin) * rate) - position
            if position == 0 and hole < 0:
                block = block[-hole:]
            elif hole > (_GAP_S * rate if position else 0):
                block = np.concatenate([np.zeros(hole, np.float32), block])
            position += block.size
            yield rate, block
        if position == 0:
            raise InputError(f"{path}: the audio stream holds no sound")


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """float32 [samples]: the mean of the channels, whole numbers scaled to -1..1, an encoder's padding at the end cut."""
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mixed = samples.mean(axis=0, dtype=np.float64)
    if samples.dtype == np.uint8:
        mixed = (mixed - 128) / 128
    elif samples.dtype.kind == "i":
        mixed = mixed / 2.0 ** (8 * samples.dtype.itemsize - 1)
    if frame.time_base == Fraction(1, frame.sample_rate) and 0 < frame.duration < mixed.size:
        mixed = mixed[: frame.duration]
    return mixed.astype(np.float32)
