"""Reads sound of any container, rate, depth and number of channels as float32 on the file's own clock."""

import errno
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from math import floor, inf, log10
from pathlib import Path

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream

from avcat.errors import InputError
from avcat.media.video import audio_stream, container_start_s, decoded, open_media

_MARGIN_S = 1.0  # of sound on both sides of a part, so that it is resampled as in the whole file
_PREROLL_S = 2  # decoders of compressed sound need a few frames before their output is correct
_LONGEST_HOLE_S = 3600.0
_LONGEST_TWICE_S = 1.0  # of overlapping time stamps; more is a clock that was set back
_LOUDEST = 1_000.0  # times full scale; louder samples, or NaN, would dominate the whole file
_GAP_S = 0.01  # holes and overlaps of time stamps longer than this are real; shorter ones are rounding


def load_audio(
    path: str | Path, sample_rate: int = 16_000, start_s: float = 0.0, end_s: float | None = None
) -> np.ndarray:
    """The first audio stream of `path` as float32 [samples] in about -1..1, the mean of its channels.

    Sample 0 is `start_s` after time 0 of the container, the clock of `avcat.media.video`: an encoder's priming is left
    out, a sound that starts late is preceded by zeros. n source samples at rate r become n * sample_rate / r, to the
    nearest, with no delay. Of a long file only the requested part is decoded. Raises InputError if the file is missing,
    empty, holds no sound or is truncated.
    """
    # From a whole second on, where samples of both rates meet, and with a little more sound for the resampler.
    first_s = max(0, floor(start_s - _MARGIN_S))
    wanted = inf if end_s is None else round((end_s - first_s + _MARGIN_S) * sample_rate)
    parts, have = [np.zeros(0, np.float32)], 0
    for block in mono_blocks(path, sample_rate, first_s):
        parts.append(block)
        have += block.size
        if have >= wanted:
            break
    samples = np.concatenate(parts)
    stop = samples.size if end_s is None else round((end_s - first_s) * sample_rate)
    return samples[round((start_s - first_s) * sample_rate) : stop]


def mono_blocks(path: str | Path, sample_rate: int, from_s: int = 0) -> Iterator[np.ndarray]:
    """Streams the mean of the channels at `sample_rate` in blocks float32 [n], from a whole second on.

    Raises InputError like `load_audio`.
    """
    mono = ((rate, block.mean(axis=0, keepdims=True)) for rate, block in audio_blocks(path, from_s))
    return (block[0] for block in resampled(mono, sample_rate))


def loudness_db(samples: np.ndarray) -> float:
    """Root mean square of float32 [samples] in dB of full scale; minus infinity for silence or nothing."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return 10 * log10(power) if power > 0 else -inf


def audio_duration(path: str | Path) -> float:
    """Seconds from time 0 of the container to the end of the sound; decodes, since headers are often wrong."""
    rate, samples = 1, 0
    for rate, block in audio_blocks(path):  # noqa: B007
        samples += block.shape[1]
    return samples / rate


def resampled(blocks: Iterator[tuple[int, np.ndarray]], sample_rate: int) -> Iterator[np.ndarray]:
    """Streams float32 [channels, n] blocks at `sample_rate` from blocks of one other rate."""
    resampler: soxr.ResampleStream | None = None
    channels = 1
    for rate, block in blocks:
        channels = block.shape[0]
        if rate == sample_rate:
            yield block
            continue
        if resampler is None:
            resampler = soxr.ResampleStream(rate, sample_rate, channels, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(np.ascontiguousarray(block.T)).T
    if resampler:
        yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True).T


def audio_blocks(path: str | Path, from_s: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Streams (rate in Hz, float32 [channels, n] in about -1..1) without holes, from a whole second on.

    Raises InputError like `load_audio`, and if samples are NaN, infinite or a thousand times full scale.
    """
    for seek_s in (from_s - _PREROLL_S, 0):
        with open_media(path) as container:
            stream, origin = audio_stream(container), container_start_s(container)
            if stream is None:
                raise InputError(f"{path}: no audio stream")
            frames = decoded(container, stream)
            try:
                if seek_s > 0:
                    container.seek(int((origin + seek_s) * av.time_base), backward=True)
                first = next(frames, None)
            except av.error.FFmpegError:
                if seek_s > 0:
                    continue  # not every file supports seeking: then from the start
                raise
            at_s = None if first is None or first.time is None else first.time - origin
            if seek_s > 0 and (at_s is None or at_s > from_s):
                continue  # it landed too late, or at an unknown time
            if first is None:
                raise InputError(f"{path}: the audio stream holds no sound")
            position = round((at_s or 0) * first.sample_rate) if seek_s > 0 else 0
            for rate, block in _joined(first, frames, stream, position, origin):
                if not np.abs(block).max(initial=0) <= _LOUDEST:
                    raise InputError(f"{path}: holds samples that are no sound: NaN, infinite or far above full scale")
                before = max(0, from_s * rate - position)
                position += block.shape[1]
                if before < block.shape[1]:
                    yield rate, block[:, before:]
            return


def _joined(
    first: av.AudioFrame, frames: Iterator[av.AudioFrame], stream: AudioStream, position: int, origin: float
) -> Iterator[tuple[int, np.ndarray]]:
    """(rate, samples) of a stream's frames without holes; the first frame lies at sample `position`."""
    last = first
    for frame in chain(frames, [None]):
        samples = _length_of_last(last, stream) if frame is None else last.samples
        for block in _placed(last, samples, position, origin):
            yield last.sample_rate, block
            position += block.shape[1]
        last = frame or last


def _placed(frame: av.AudioFrame, samples: int, position: int, origin: float) -> Iterator[np.ndarray]:
    """A frame's first `samples`, aligned to sample `position`: holes are filled with zeros, overlaps are cut."""
    block, rate = _to_float(frame)[:, :samples], frame.sample_rate
    hole = 0 if frame.time is None else round((frame.time - origin) * rate) - position
    gap = _GAP_S * rate if position else 0
    if hole > _LONGEST_HOLE_S * rate:
        raise av.error.InvalidDataError(errno.EINVAL, "a time stamp lies hours away")
    if hole > gap:
        yield from (np.zeros((len(block), min(rate, hole - at)), np.float32) for at in range(0, hole, rate))
    twice = -hole if hole < -gap and (position == 0 or hole > -_LONGEST_TWICE_S * rate) else 0
    yield block[:, twice:]


def _length_of_last(frame: av.AudioFrame, stream: AudioStream) -> int:
    """Samples in the last frame of a stream without the encoder's padding, if the container counts in samples.

    The packet's own length is exact. The stream's end, which MP4 often states in whole milliseconds, is used only if
    it implies more padding than that.
    """
    if frame.time_base != Fraction(1, frame.sample_rate) or frame.pts is None or stream.duration is None:
        return frame.samples
    if 0 < frame.duration < frame.samples:
        return frame.duration
    rest = (stream.start_time or 0) + stream.duration - frame.pts
    return rest if 0 < rest < frame.samples - frame.sample_rate / 1000 else frame.samples


def _to_float(frame: av.AudioFrame) -> np.ndarray:
    """float32 [channels, n], integers scaled to -1..1."""
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return (samples / 2.0 ** (8 * samples.dtype.itemsize - 1)).astype(np.float32)
    return samples.astype(np.float32)
