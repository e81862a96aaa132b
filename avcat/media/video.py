"""Reads video: properties of a file, its frames on their own clock, and its frames on an even grid.

One clock per file: time 0 is the start of its container, for sound and picture alike (`VideoInfo.start_s` is its time
on the file's raw clock). Writing is in `avcat.media.writer`.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import floor, inf
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from avcat.data.schema import FPS
from avcat.errors import InputError

T = TypeVar("T")

DECODER_THREADS = "AVCAT_DECODER_THREADS"  # environment variable: threads per decoder; 0, and unset, one per core
_TICK = 1e-6  # seconds; containers round their start to a microsecond
_SEEK_BACK_S = (0.0, 1.0, 5.0, 25.0)  # how much earlier than requested to seek; tried in turn until it is early enough
_BT709 = 1  # used for writing pictures coded as RGB (0, which YUV cannot be)
_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf"})  # demuxers of files that refer to other files, any files
_STILL_FORMATS = ("image2", "tty", "gif")  # demuxers that present a picture or a text as a video


class Colour(NamedTuple):
    """The source's colour coding (numbers of ITU-T H.273; 2 is "unspecified")."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video file, as it states them."""

    path: Path
    width: int  # as shown, that is after rotation
    height: int
    fps: Fraction  # average
    time_base: Fraction  # seconds per tick of the video stream's time stamps
    duration_s: float  # from time 0 to the end of the last frame
    frames: int | None  # None if not stated
    rotation: int  # degrees counterclockwise by which the stored picture is turned for display: 0, 90, 180, 270
    start_s: float  # of the container, on the file's raw clock
    codec: str
    colour: Colour
    pixel_aspect: Fraction  # width over height of a pixel of the upright picture
    interlaced: bool  # according to its first frame
    has_alpha: bool
    has_audio: bool
    audio_codec: str | None
    audio_rate: int | None  # Hz


class Frame(NamedTuple):
    """One decoded picture."""

    index: int  # type: ignore[assignment]  # from 0, in display order
    time_s: float  # since the start of the container
    image: np.ndarray  # uint8 [height, width, 3] RGB, upright
    duration_s: float  # as stated by the file; 0 if not stated


class GridFrame(NamedTuple):
    """The source frame used for one point of an even grid."""

    index: int  # type: ignore[assignment]  # of the grid
    pts_s: float  # when the source frame is shown, since the start of the container
    image: np.ndarray  # uint8 [height, width, 3] RGB, upright


@contextmanager
def open_media(path: str | Path) -> Iterator[InputContainer]:
    """Opens a media file by its content, never by its name; errors of libav become an InputError."""
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path}: not a file")
        if status.st_size == 0:
            raise InputError(f"{path}: the file is empty")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:  # a name too long, a folder without permission, links in a circle
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        with av.open(f"file:{path}") as container:  # "file:": else a colon in the name is read as a protocol
            if names := _PLAYLISTS.intersection(container.format.name.split(",")):
                raise InputError(f"{path}: a playlist ({', '.join(names)}), no file with picture or sound in it")
            yield container
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read as video or sound ({reason})") from error


def container_start_s(container: InputContainer) -> float:
    """Time 0 of the file's clock, in seconds of its raw clock."""
    return (container.start_time or 0) / av.time_base


def probe(path: str | Path) -> VideoInfo:
    """Reads a video's headers and one frame (for its rotation), no more.

    Raises InputError if the file is missing, empty, not a video, or has no video stream.
    """
    with open_media(path) as container:
        stream = _video_stream(container, path)
        codec = stream.codec_context
        audio = audio_stream(container)
        first = next(decoded(container, stream), None)
        if first is None:
            raise InputError(f"{path}: the video stream holds no frame")
        rotation = round(first.rotation / 90) % 4 * 90
        width, height = codec.width, codec.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return VideoInfo(
            path=Path(path),
            width=height if rotation % 180 else width,
            height=width if rotation % 180 else height,
            fps=_rate(stream),
            time_base=stream.time_base or Fraction(1, 90_000),
            duration_s=_duration_s(container, stream),
            frames=stream.frames or None,
            rotation=rotation,
            start_s=container_start_s(container),
            codec=codec.name,
            colour=Colour(int(codec.colorspace) or _BT709, int(codec.color_primaries), int(codec.color_trc)),
            pixel_aspect=1 / aspect if rotation % 180 else aspect,
            interlaced=first.interlaced_frame,
            has_alpha=_has_alpha(path, stream, first),
            has_audio=audio is not None,
            audio_codec=audio.codec_context.name if audio else None,
            audio_rate=audio.codec_context.sample_rate if audio else None,
        )


def decoded(container: InputContainer, stream: Any) -> Iterator[Any]:
    """The frames of a stream. Damaged data raises an FFmpegError."""
    try:
        yield from container.decode(stream)
    except IndexError as error:  # PyAV's own: an undeclared stream begins in the middle of the file
        raise av.error.InvalidDataError(errno.EINVAL, "a stream begins in the middle") from error


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The first audio stream that can be decoded; a stream of an unsupported codec has no decoder."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The streams that can be decoded, without cover art."""
    attached = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & attached and s.codec_context is not None]


def _video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    formats = container.format.name.split(",")
    if any(name in _STILL_FORMATS or name.endswith("_pipe") for name in formats):
        raise InputError(f"{path}: not a video (it reads as {formats[0]})")
    streams = video_streams(container)
    if not streams:
        raise InputError(f"{path}: no video stream")
    streams[0].thread_type = "AUTO"
    streams[0].codec_context.thread_count = int(os.environ.get(DECODER_THREADS, 0))
    return streams[0]


def _has_alpha(path: str | Path, stream: VideoStream, first: av.VideoFrame) -> bool:
    """WebM keeps alpha in separate packets beside the picture's, which FFmpeg's own decoders ignore.

    Its tag only means that there may be alpha: browsers set it in all their recordings.
    """
    if any(component.is_alpha for component in first.format.components):
        return True
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return False
    with open_media(path) as container:
        packet = next(container.demux(container.streams[stream.index]))
        return bool(packet.has_sidedata("matroska_block_additional"))


def _duration_s(container: InputContainer, stream: VideoStream) -> float:
    """As stated by the stream, or by the file; else (recordings of browsers state neither) the end of its packets.

    A Matroska file states the length of its longest stream, and that of each in a tag.
    """
    if stream.duration is not None and stream.time_base is not None:
        raw_end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        return raw_end - container_start_s(container)
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds - container_start_s(container)
    if container.duration:
        return container.duration / av.time_base
    ends = (packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None)
    return float(max(ends, default=0) * (stream.time_base or 0)) - container_start_s(container)


def decode(path: str | Path, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Frame]:
    """Streams the frames with `start_s <= time < end_s`, in display order; `index` starts at 0.

    Raises InputError like `probe`, and if the stream is truncated.
    """
    index, converter = 0, VideoReformatter()
    for time_s, picture in _shown(path, start_s):
        if time_s < start_s - _TICK:
            continue
        if end_s is not None and time_s >= end_s - _TICK:
            return
        stated_s = float(picture.duration * picture.time_base) if picture.duration and picture.time_base else 0.0
        yield Frame(index, time_s, _to_rgb(picture, converter), stated_s)
        index += 1


def decode_at(
    path: str | Path, fps: float = FPS, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[GridFrame]:
    """Streams the source frame nearest to each time `start_s + t / fps`, for t = 0, 1, ... while the video lasts.

    A source frame is taken twice, or not at all, if the source is slower or faster, so nothing drifts, even with
    uneven frame rates. Holds two frames at a time.
    """
    with open_media(path) as container:
        last_s = float(1 / _rate(_video_stream(container, path)))
    converter = VideoReformatter()
    chosen: Any = None
    image = np.empty(0)
    for index, time_s, picture in nearest(_shown(path, start_s), fps, start_s, end_s, last_s):
        if picture is not chosen:
            chosen, image = picture, _to_rgb(picture, converter)
        yield GridFrame(index, time_s, image)


def nearest(
    timed: Iterable[tuple[float, T]], fps: float, start_s: float, end_s: float | None, last_s: float
) -> Iterator[tuple[int, float, T]]:
    """For each grid time `start_s + t / fps` the nearest of `timed` (times rising): (t, its time, its item).

    The grid has round((end - start_s) * fps) points; the end is `end_s` or, if sooner, the last item's time plus
    `last_s`, the last item's duration. Of two items equally near, the earlier is taken.
    """
    index = 0
    before: tuple[float, T] | None = None
    for time_s, item in timed:
        if before is not None:
            middle = (before[0] + time_s) / 2
            while start_s + index / fps <= middle + _TICK and (end_s is None or index < _points(end_s, start_s, fps)):
                yield index, *before
                index += 1
        before = (time_s, item)
        if end_s is not None and index >= _points(end_s, start_s, fps):
            return
    if before is not None:
        end = min(before[0] + last_s, inf if end_s is None else end_s)
        for rest in range(index, _points(end, start_s, fps)):
            yield rest, *before


def _points(end_s: float, start_s: float, fps: float) -> int:
    return floor((end_s - start_s) * fps + 0.5 + _TICK)


def _shown(path: str | Path, from_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """All frames with their times, from a key frame at or before `from_s` on.

    Seeks may land too late, so the first frame's time is checked; as a last resort the file is read from its start.
    """
    for back_s in (*_SEEK_BACK_S, inf):
        with open_media(path) as container:
            stream = _video_stream(container, path)
            origin, step = container_start_s(container), float(1 / _rate(stream))
            seeks = from_s - back_s > 0
            frames = decoded(container, stream)
            try:
                if seeks:
                    container.seek(int((origin + from_s - back_s) * av.time_base), backward=True)
                first = next(frames, None)
            except av.error.FFmpegError:
                if seeks:
                    continue  # not every file supports seeking
                raise
            if seeks and (first is None or first.time is None or first.time - origin > from_s + _TICK):
                continue
            expected, size = 0.0, (first.width, first.height) if first else (0, 0)
            for frame in chain([first] if first else [], frames):
                if (frame.width, frame.height) != size:
                    raise InputError(
                        f"{path}: changes its size from {size[0]} x {size[1]} to {frame.width} x {frame.height}"
                    )
                time_s = expected if frame.time is None else frame.time - origin  # raw streams have no time stamps
                expected = time_s + step
                yield time_s, frame
            return


def _rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(FPS)


def _to_rgb(frame: av.VideoFrame, converter: VideoReformatter) -> np.ndarray:
    """uint8 [height, width, 3] RGB of a decoded frame, upright. One converter per stream: its set-up is expensive."""
    image = converter.reformat(frame, format="rgb24").to_ndarray()
    if _mirrored(frame):
        image = image[::-1]  # before the rotation, which comes from the matrix's first row only
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4))


def _mirrored(frame: av.VideoFrame) -> bool:
    """Whether the display matrix mirrors the frame, as some phones' front cameras do."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False
    a, b, _, c, d = np.frombuffer(data, np.int32, 5).astype(float)  # type: ignore[call-overload]
    return bool(a * d - b * c < 0)
