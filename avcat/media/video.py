"""Reads video: properties of a file, its frames on their own clock, and its frames on an even grid.

One clock per file: time 0 is the start of its container, for sound and picture alike (`VideoInfo.start_s` is its time
on the file's raw clock). Writing is in `avcat.media.writer`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, dropwhile
from math import floor, inf
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from avcat.data.schema import FPS
from avcat.errors import InputError
from avcat.media.container import Notes, audio_stream, container_start_s, decoded, open_media, video_stream
from avcat.media.picture import HDR, deinterlaced, of_one_size, to_rgb
from avcat.media.planes import is_full, planes_of

T = TypeVar("T")

_TICK = 1e-6  # seconds; containers round their start to a microsecond
_SEEK_BACK_S = (0.0, 1.0, 5.0, 25.0)  # how much earlier than requested to seek; tried in turn until it is early enough
_BT709 = 1  # used for writing pictures coded as RGB (0, which YUV cannot be)
_STREAMED = frozenset({"mpegts", "mpeg", "flv", "asf"})  # demuxers that lose what is damaged without an error
_EVEN = 8  # pictures at even distances: then a missing one is noticed
_SET_BACK_S = 1.0  # times that fall by more are a clock that was set back, by less ones that were rounded


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
    colour: Colour  # as decoded here, where HDR becomes SDR
    hdr: str  # PQ or HLG; empty if it is SDR
    full_range: bool  # of the codes of its planes (`avcat.media.planes`)
    pixel_aspect: Fraction  # width over height of a pixel of the upright picture
    is_still: bool  # one picture, which lasts a frame of the 25 fps grid
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
    picture: av.VideoFrame  # as decoded


class GridFrame(NamedTuple):
    """The source frame used for one point of an even grid."""

    index: int  # type: ignore[assignment]  # of the grid
    pts_s: float  # when the source frame is shown, since the start of the container
    image: np.ndarray  # uint8 [height, width, 3] RGB, upright


def probe(path: str | Path) -> VideoInfo:
    """Reads a video's headers and its first frames (for its rotation), no more. A single picture is a video, too.

    Raises InputError if the file is missing, empty, not a video, or has no video stream.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        codec = stream.codec_context
        audio = audio_stream(container, path)
        frames = _from_a_whole_one(decoded(container, stream, Notes(path)))
        first = next(frames, None)
        if first is None:
            raise InputError(f"{path}: the video stream holds no frame")
        is_still = stream.frames <= 1 and next(frames, None) is None
        transfer = int(codec.color_trc)
        colour = Colour(int(codec.colorspace) or _BT709, int(codec.color_primaries), transfer)
        rotation = round(first.rotation / 90) % 4 * 90
        width, height = codec.width, codec.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return VideoInfo(
            path=Path(path),
            width=height if rotation % 180 else width,
            height=width if rotation % 180 else height,
            fps=Fraction(FPS) if is_still else _rate(stream),
            time_base=Fraction(1, FPS) if is_still else stream.time_base or Fraction(1, 90_000),
            duration_s=1 / FPS if is_still else _duration_s(container, stream),
            frames=stream.frames or None,
            rotation=rotation,
            start_s=container_start_s(container),
            codec=codec.name,
            colour=Colour(_BT709, _BT709, _BT709) if transfer in HDR else colour,
            hdr=HDR.get(transfer, ""),
            full_range=planes_of(first, VideoReformatter()) is not None and is_full(first),
            pixel_aspect=1 / aspect if rotation % 180 else aspect,
            is_still=is_still,
            has_alpha=_has_alpha(path, stream, first),
            has_audio=audio is not None,
            audio_codec=audio.codec_context.name if audio else None,
            audio_rate=audio.codec_context.sample_rate if audio else None,
        )


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
        if "avi" in container.format.name.split(","):  # its header counts frames; libav those that are there
            raw_end = max(raw_end, float(stream.frames / _rate(stream)))
        return raw_end - container_start_s(container)
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds - container_start_s(container)
    if container.duration:
        return container.duration / av.time_base
    ends = (packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None)
    return float(max(ends, default=0) * (stream.time_base or 0)) - container_start_s(container)


def decode(
    path: str | Path, start_s: float = 0.0, end_s: float | None = None, notes: Notes | None = None
) -> Iterator[Frame]:
    """Streams the frames with `start_s <= time < end_s`, in display order; `index` starts at 0, times rise.

    Raises InputError like `probe`, and if the stream is truncated or damaged. With `notes` the undamaged frames are
    given and the damage is noted there; InputError only if it is too much.
    """
    index, converter = 0, VideoReformatter()
    for time_s, picture in _shown(path, start_s, notes):
        if time_s < start_s - _TICK:
            continue
        if end_s is not None and time_s >= end_s - _TICK:
            return
        stated_s = float(picture.duration * picture.time_base) if picture.duration and picture.time_base else 0.0
        yield Frame(index, time_s, to_rgb(picture, converter), stated_s, picture)
        index += 1


def decode_at(
    path: str | Path,
    fps: float = FPS,
    start_s: float = 0.0,
    end_s: float | None = None,
    notes: Notes | None = None,
) -> Iterator[GridFrame]:
    """Streams the source frame nearest to each time `start_s + t / fps`, for t = 0, 1, ... while the video lasts.

    A source frame is taken twice, or not at all, if the source is slower or faster, so nothing drifts, even with
    uneven frame rates. Holds two frames at a time. Errors and `notes` as for `decode`.
    """
    with open_media(path) as container:
        last_s = float(1 / _rate(video_stream(container, path)))
    converter = VideoReformatter()
    chosen: Any = None
    image = np.empty(0)
    for index, time_s, picture in nearest(_shown(path, start_s, notes), fps, start_s, end_s, last_s):
        if picture is not chosen:
            chosen, image = picture, to_rgb(picture, converter)
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


def _shown(path: str | Path, from_s: float, notes: Notes | None) -> Iterator[tuple[float, av.VideoFrame]]:
    """All frames with their times, which rise, from a key frame before `from_s` on.

    Seeks may land too late, so the first frame's time is checked; as a last resort the file is read from its start.
    """
    for back_s in (*_SEEK_BACK_S, inf):
        with open_media(path) as container:
            stream = video_stream(container, path)
            origin, step = container_start_s(container), float(1 / _rate(stream))
            stamped = _is_stamped(container, stream)
            before_s = from_s - back_s - 2 * step  # times depend on those before, if these do not rise
            seeks = stamped and before_s > 0
            frames = deinterlaced(_from_a_whole_one(decoded(container, stream, notes)), notes)
            try:
                if seeks:
                    container.seek(int((origin + before_s) * av.time_base), backward=True)
                first = next(frames, None)
            except av.error.FFmpegError:
                if seeks:
                    continue  # not every file supports seeking
                raise
            if seeks and (first is None or first.time is None or first.time - origin > from_s + _TICK):
                continue
            every = chain([first] if first else [], frames)
            timed = rising(every, path, origin, step) if stamped else ((n * step, f) for n, f in enumerate(every))
            if notes and _STREAMED.intersection(container.format.name.split(",")):
                timed = _without_holes_unnoted(timed, notes)
            yield from of_one_size(timed, path, notes)
            return


def _is_stamped(container: InputContainer, stream: VideoStream) -> bool:
    """Whether packets say when their frames are shown. AVI has no such stamps: with B frames its times do not rise."""
    return not ("avi" in container.format.name.split(",") and stream.codec_context.has_b_frames)


def _from_a_whole_one(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Without those at the start that refer to pictures which the file, or the part that is read, does not have."""
    return dropwhile(lambda frame: frame.is_corrupt, frames)


def rising(
    frames: Iterable[av.VideoFrame], path: str | Path, origin: float, step: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames with their times. A frame without one comes a step after the last; one that is not later, a tick after.

    Raises InputError if the clock is set back.
    """
    last_s: float | None = None
    for frame in frames:
        guessed_s = 0.0 if last_s is None else last_s + step  # raw streams have no time stamps
        time_s = guessed_s if frame.time is None else frame.time - origin
        if last_s is not None and time_s <= last_s:
            if last_s - time_s > _SET_BACK_S:
                raise InputError(f"{path}: its clock is set back at {last_s:.2f} s; join its parts anew")
            time_s = last_s + float(frame.time_base or 1e-3)
        last_s = time_s
        yield time_s, frame


def _without_holes_unnoted(
    timed: Iterator[tuple[float, av.VideoFrame]], notes: Notes
) -> Iterator[tuple[float, av.VideoFrame]]:
    """The same; a picture that is missing among some that come evenly is noted: no decoder misses it."""
    last_s, even_s, even = -inf, 0.0, 0
    for time_s, frame in timed:
        step_s = time_s - last_s
        if even >= _EVEN and step_s > 1.5 * even_s:
            notes.damaged("picture", last_s + even_s)
        elif abs(step_s - even_s) < 0.2 * even_s:
            even += 1
        else:
            even_s, even = step_s, 0
        last_s = time_s
        yield time_s, frame


def _rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(FPS)
