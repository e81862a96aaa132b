"""Reads sound of any container, rate, depth and number of channels as float32 on the file's own clock."""

import errno
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, groupby
from math import floor, inf, log10
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream

from avcat.errors import InputError
from avcat.media.container import Notes, audio_stream, container_start_s, decoded, open_media

_MARGIN_S = 1.0  # of sound on both sides of a part, so that it is resampled as in the whole file
_PREROLL_S = 2  # decoders of compressed sound need a few frames before their output is correct
_LONGEST_HOLE_S = 3600.0
_LONGEST_TWICE_S = 1.0  # of overlapping time stamps; more is a clock that was set back
_LOUDEST = 1_000.0  # times full scale; louder samples, or NaN, would dominate the whole file
_CANCELLED = 0.01  # power of the mean over that of the loudest channel
_NOTED_HOLE_S = 0.02  # of sound that is missing in the middle
_GAP_S = 0.01  # holes and overlaps of time stamps longer than this are real; shorter ones are rounding


def load_audio(
    path: str | Path, sample_rate: int = 16_000, start_s: float = 0.0, end_s: float | None = None
) -> np.ndarray:
    """The default audio stream of `path` as float32 [samples] in about -1..1, its channels mixed by `mono`.

    Sample 0 is `start_s` after time 0 of the container, the clock of `avcat.media.video`: an encoder's priming is left
    out, a sound that starts late is preceded by zeros. n source samples at rate r become n * sample_rate / r, to the
    nearest, with no delay. Of a long file only the requested part is decoded. Raises InputError if the file is missing,
    empty, holds no sound, is truncated or damaged.
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


def mono_blocks(
    path: str | Path, sample_rate: int, from_s: int = 0, notes: Notes | None = None
) -> Iterator[np.ndarray]:
    """Streams one channel at `sample_rate` in blocks float32 [n], from a whole second on.

    Raises InputError like `load_audio`; with `notes` damage is silence, and noted there.
    """
    mixed = ((rate, mono(block)[None]) for rate, block in audio_blocks(path, from_s, notes))
    return (block[0] for block in resampled(mixed, sample_rate))


def mono(block: np.ndarray) -> np.ndarray:
    """The mean of a block's channels, float32 [channels, n] -> [n]; the loudest one if they cancel each other out.

    As a microphone does whose one wire is the other way round: the mean of its two channels is silence.
    """
    mean = block.mean(axis=0)
    if len(block) > 1 and block.size:
        powers = np.square(block, dtype=np.float64).mean(1)
        if powers.max() > 0 and np.square(mean, dtype=np.float64).mean() < _CANCELLED * powers.max():
            return block[int(powers.argmax())]  # type: ignore[no-any-return]
    return mean  # type: ignore[no-any-return]


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


def audio_blocks(path: str | Path, from_s: int = 0, notes: Notes | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Streams (rate in Hz, float32 [channels, n] in about -1..1) without holes, from a whole second on.

    Rate and channels are those of the first frame; frames of others are converted. Raises InputError like `load_audio`,
    and if samples are NaN, infinite or a thousand times full scale. `notes` as for `mono_blocks`.
    """
    for seek_s in (from_s - _PREROLL_S, 0):
        with open_media(path) as container:
            stream, origin = audio_stream(container, path), container_start_s(container)
            if stream is None:
                raise InputError(f"{path}: no audio stream")
            frames = decoded(container, stream, notes)
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
            rate = first.sample_rate
            position = round((at_s or 0) * rate) if seek_s > 0 else 0
            pieces = _alike(_pieces(first, frames, stream, origin), rate, first.layout.nb_channels)
            for block in _joined(pieces, rate, position, notes):
                if not np.abs(block).max(initial=0) <= _LOUDEST:
                    raise InputError(f"{path}: holds samples that are no sound: NaN, infinite or far above full scale")
                before = max(0, from_s * rate - position)
                position += block.shape[1]
                if before < block.shape[1]:
                    yield rate, block[:, before:]
            return


class _Piece(NamedTuple):
    """The sound of a frame, or of some."""

    time_s: float | None  # since the start of the container; None: right after the one before
    rate: int
    block: np.ndarray  # float32 [channels, n]


def _pieces(
    first: av.AudioFrame, frames: Iterator[av.AudioFrame], stream: AudioStream, origin: float
) -> Iterator[_Piece]:
    last = first
    for frame in chain(frames, [None]):
        samples = _length_of_last(last, stream) if frame is None else last.samples
        time_s = None if last.time is None else last.time - origin
        yield _Piece(time_s, last.sample_rate, _to_float(last)[:, :samples])
        last = frame or last


def _alike(pieces: Iterator[_Piece], rate: int, channels: int) -> Iterator[_Piece]:
    """Pieces of one rate and number of channels: a file may change both, as joined ones do."""
    for (own_rate, own_channels), group in groupby(pieces, key=lambda piece: (piece.rate, len(piece.block))):
        if (own_rate, own_channels) == (rate, channels):
            yield from group
            continue
        first = next(group)
        blocks = (
            (own_rate, np.broadcast_to(mono(p.block), (channels, p.block.shape[1]))) for p in chain([first], group)
        )
        for number, block in enumerate(resampled(blocks, rate)):
            yield _Piece(first.time_s if number == 0 else None, rate, block)


def _joined(pieces: Iterator[_Piece], rate: int, position: int, notes: Notes | None) -> Iterator[np.ndarray]:
    """The samples of pieces without holes; the first one lies at sample `position`."""
    for piece in pieces:
        if notes and position and piece.time_s is not None and piece.time_s - position / rate > _NOTED_HOLE_S:
            notes.damaged("sound", position / rate)
        for block in _placed(piece, rate, position):
            yield block
            position += block.shape[1]


def _placed(piece: _Piece, rate: int, position: int) -> Iterator[np.ndarray]:
    """A piece aligned to sample `position`: holes are filled with zeros, overlaps are cut."""
    block = piece.block
    hole = 0 if piece.time_s is None else round(piece.time_s * rate) - position
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
