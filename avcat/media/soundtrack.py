"""The sound of a file being written: a stream copied packet by packet if MP4 supports its codec, else AAC.

Time 0 of the sound's own container becomes time 0 of the written file, priming and late starts included.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import inf
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from avcat.errors import InputError
from avcat.media.audio import audio_blocks, mono, resampled
from avcat.media.container import Notes, audio_stream, container_start_s, open_media


@dataclass(frozen=True)
class Mixed:
    """A voice over another sound."""

    voice: Path
    under: Path
    level_db: float  # of `under`: 0 leaves it as loud as it is


Samples = tuple[np.ndarray, int]  # float32 [n] or [channels, n] in -1..1, and its rate in Hz
Packets = Iterator[tuple[float, av.Packet]]  # each with its time in seconds, rising

_MP4_CODECS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "mp3float", "mp2float", "opus", "libopus"})
_MPEG_LEAST_RATE = 16_000  # of MP2 and MP3 in MP4, which does not support MPEG-2.5
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
_OTHER_RATE = 48_000  # for sounds at a rate that AAC does not support
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_UNUSUAL = ("quad", "2.1")  # other layouts with as many channels
_BLOCK = 16_384  # samples that are mixed at once
_BITS_PER_SAMPLE = 6  # AAC's upper limit; at it, encoded speech is as good as the original
_BITS_PER_CHANNEL = 128_000  # per second, at most


def sound_rate(source: Path | Samples | Mixed) -> int:
    """Sample rate of the written stream. Raises InputError if a file has no audio stream."""
    if isinstance(source, Mixed):
        sound_rate(source.under)
        with open_media(source.voice) as container:
            return _aac_rate(_audio_stream(container, source.voice).sample_rate)
    if not isinstance(source, Path):
        return _aac_rate(source[1])
    with open_media(source) as container:
        stream = _audio_stream(container, source)
        return stream.sample_rate if _copies(stream) else _aac_rate(stream.sample_rate)


def add_sound(out: OutputContainer, source: Path | Samples | Mixed, *, copy: bool = True) -> Packets:
    """Adds an audio stream to `out`, which is not yet started, and returns its packets, to be muxed by time.

    Without `copy` it is encoded in any case: Matroska has no place for the priming of a stream that is copied.
    """
    if isinstance(source, Mixed):
        return _encoded(out, mixed(source))
    if not isinstance(source, Path):
        samples, rate = source
        return _encoded(out, iter([(rate, np.atleast_2d(np.asarray(samples, np.float32)))]))
    with open_media(source) as container:
        stream = _audio_stream(container, source)
        if copy and _copies(stream) and _is_plain(source):
            return _copied(source, out.add_stream_from_template(stream))
        layout = stream.layout.name
    return _encoded(out, audio_blocks(source, notes=Notes(source)), layout)


def mixed(source: Mixed) -> Iterator[tuple[int, np.ndarray]]:
    """Streams (rate of the voice, float32 [channels, n] in -1..1), until both sounds have ended; peaks are cut."""
    blocks = audio_blocks(source.voice, notes=Notes(source.voice))
    rate, first = next(blocks)
    voice = _Taken(block for _, block in chain([(rate, first)], blocks))
    under = _Taken(resampled(audio_blocks(source.under, notes=Notes(source.under)), rate))
    gain = np.float32(10 ** (source.level_db / 20))
    while len(parts := [part for part in (voice.take(_BLOCK), gain * under.take(_BLOCK)) if part.shape[1]]) > 0:
        channels, samples = max(part.shape[0] for part in parts), max(part.shape[1] for part in parts)
        whole = np.zeros((channels, samples), np.float32)
        for part in parts:
            whole[:, : part.shape[1]] += part if part.shape[0] == channels else mono(part)
        yield rate, whole.clip(-1, 1)


class _Taken:
    """A stream of blocks float32 [channels, n], in pieces of a wanted length; shorter, then empty, at its end."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self._held = np.zeros((1, 0), np.float32)

    def take(self, samples: int) -> np.ndarray:
        while self._held.shape[1] < samples and (block := next(self._blocks, None)) is not None:
            self._held = np.concatenate((self._held, block), 1) if self._held.size else block
        taken, self._held = self._held[:, :samples], self._held[:, samples:]
        return taken


def _audio_stream(container: av.container.InputContainer, path: Path) -> AudioStream:
    stream = audio_stream(container, path)
    if stream is None:
        raise InputError(f"{path}: no audio stream")
    return stream


def _copies(stream: AudioStream) -> bool:
    name = stream.codec_context.name
    return name in _MP4_CODECS and not (name.startswith(("mp2", "mp3")) and stream.sample_rate < _MPEG_LEAST_RATE)


def _is_plain(path: Path) -> bool:
    """Whether the packets can be played as they are: undamaged, all of one format, each later than the one before.

    Those that an edit list cuts out of the middle are not; those before the first that is heard are an encoder's
    priming.
    """
    with open_media(path) as container:
        formats, last, heard = set(), -inf, False
        try:
            for packet in container.demux(_audio_stream(container, path)):
                if packet.pts is not None:
                    if packet.pts <= last or (heard and packet.is_discard):
                        return False
                    last, heard = packet.pts, heard or not packet.is_discard
                formats |= {(frame.sample_rate, frame.layout.name) for frame in packet.decode()}
        except av.error.FFmpegError:
            return False
        return len(formats) == 1


def _aac_rate(rate: int) -> int:
    return rate if rate in _AAC_RATES else _OTHER_RATE


def _copied(path: Path, out: AudioStream) -> Packets:
    """The packets of `path`, stamped in samples.

    Containers that count in milliseconds shift each packet by up to half of one and lose the exact encoder padding.
    Counting samples from the padding stated in the first packet restores both.
    """
    with open_media(path) as container:
        stream = _audio_stream(container, path)
        assert stream.time_base is not None
        origin, rate, tick = container_start_s(container), stream.sample_rate, stream.sample_rate * stream.time_base
        expected, full = 0, stream.codec_context.frame_size
        for number, packet in enumerate(container.demux(stream)):
            if packet.pts is None:
                continue  # demux ends with an empty one
            before, after = _padding(packet)
            expected = expected if number else -before
            stated_start = round(packet.pts * float(tick) - origin * rate)
            stated_length = round((packet.duration or 0) * tick)
            full = full or stated_length  # Opus states no frame size, and shortens its last packet
            start = expected if abs(stated_start - expected) <= tick + 1 else stated_start
            heard = full - after
            rounded = min(abs(stated_length - full), abs(stated_length - heard)) <= tick + 1
            packet.time_base = Fraction(1, rate)
            packet.pts = packet.dts = start
            packet.duration = heard if rounded or not stated_length else min(stated_length, heard)
            packet.stream = out
            expected = start + full
            yield start / rate, packet


def _padding(packet: av.Packet) -> tuple[int, int]:
    """Samples at the start and the end of a packet that are not to be played."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    before, after = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return before, after


def _encoded(out: OutputContainer, blocks: Iterator[tuple[int, np.ndarray]], layout: str = "") -> Packets:
    """Starts at once (the stream must be added before the first packet of any stream is written).

    `layout`: of the source's channels, which is kept if AAC has it; else one with as many, else they become one.
    """
    rate, first = next(blocks)
    layout = layout if layout in _UNUSUAL else _LAYOUTS.get(first.shape[0], "mono")
    stream = out.add_stream("aac", rate=_aac_rate(rate), layout=layout)
    stream.bit_rate = min(_BITS_PER_CHANNEL, _BITS_PER_SAMPLE * stream.rate) * stream.layout.nb_channels

    return _encode(stream, resampled(chain([(rate, first)], blocks), stream.rate))


def _encode(stream: AudioStream, blocks: Iterator[np.ndarray]) -> Packets:
    position = 0
    for block in blocks:
        if block.shape[0] not in _LAYOUTS:
            block = mono(block)[None]
        if not block.shape[1]:
            continue
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = stream.rate, position, Fraction(1, stream.rate)
        position += block.shape[1]
        yield from _timed(stream.encode(frame))
    yield from _timed(stream.encode(None))


def _timed(packets: list[av.Packet]) -> Packets:
    for packet in packets:
        assert packet.dts is not None
        yield float(packet.dts * packet.time_base), packet
