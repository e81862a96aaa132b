"""Media files: opened by their content, their streams chosen, their frames decoded, and damage noted."""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer
from av.video.stream import VideoStream

from avcat.errors import InputError

T = TypeVar("T")

DECODER_THREADS = "AVCAT_DECODER_THREADS"  # environment variable: threads per decoder; 0, and unset, one per core
MOST_DAMAGED = 0.1  # of a stream's packets: with more it is refused
_IN_UNITS, _BLANK = ("h264", "hevc"), 24  # codecs whose packets are units; bytes that are looked at
_TRACK = re.compile(r"(.+)#(?:picture|sound)=\d+")
_NAMED = 5  # moments that a note names
_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf"})  # demuxers of files that refer to other files, any files
_DEFAULT, _ATTACHED = av.stream.Disposition.default, av.stream.Disposition.attached_pic


class Notes:
    """What is wrong with a file and was got over. A caller that gives none gets an InputError instead."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self._damaged: dict[str, list[float]] = {}
        self._lines: dict[str, None] = {}

    def add(self, line: str) -> None:
        """A note of its own; said once."""
        self._lines[line] = None

    def damaged(self, what: str, time_s: float) -> None:
        """A packet of `what`, picture or sound, that cannot be decoded."""
        self._damaged.setdefault(what, []).append(time_s)

    @property
    def lines(self) -> list[str]:
        """All of them, one line each."""
        found = list(self._lines)
        for what, times_s in self._damaged.items():
            named = ", ".join(f"{time_s:.2f}" for time_s in sorted(set(times_s))[:_NAMED])
            more = " s and later" if len(set(times_s)) > _NAMED else " s"
            instead = "the last good one stays" if what == "picture" else "silence instead"
            found.append(f"{self.path}: the {what} is damaged at {named}{more}; {instead}")
        return found


def file_of(path: str | Path) -> Path:
    """The file itself of a name that may choose tracks: `film.mkv#picture=2#sound=3`, counted from 1 in its order."""
    path = Path(path)
    while (chosen := _TRACK.fullmatch(path.name)) and not path.exists():
        path = path.with_name(chosen[1])
    return path


def _chosen(path: str | Path, kind: str, streams: Sequence[T]) -> T | None:
    """The stream that a name chooses, if it does. Raises InputError if there is none."""
    end = str(path)[len(str(file_of(path))) :]
    if not (chosen := re.search(rf"#{kind}=(\d+)", end)):
        return None
    if not 1 <= int(chosen[1]) <= len(streams):
        raise InputError(f"{path}: no such track, there are {len(streams)} of {kind}")
    return streams[int(chosen[1]) - 1]


@contextmanager
def open_media(path: str | Path) -> Iterator[InputContainer]:
    """Opens a media file by its content, never by its name; errors of libav become an InputError."""
    path = file_of(path)
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


def _is_blank(packet: av.Packet) -> bool:
    """Whether a packet is zeros after its first length: a hole in the file. Units of H.264 never have three of them."""
    return not any(memoryview(packet)[8:_BLANK])


def audio_stream(container: InputContainer, path: str | Path) -> AudioStream | None:
    """The stream that the name chooses (`file_of`), else the default one of those that can be decoded, else the first.

    One of an unsupported codec has no decoder.
    """
    if chosen := _chosen(path, "sound", container.streams.audio):
        return chosen
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return next((stream for stream in streams if stream.disposition & _DEFAULT), streams[0] if streams else None)


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The streams that can be decoded, without cover art; first those that the file calls default, the largest first.

    So a thumbnail that comes before the film is not taken for it.
    """
    found = [s for s in container.streams.video if not s.disposition & _ATTACHED and s.codec_context is not None]
    return sorted(found, key=lambda s: (not s.disposition & _DEFAULT, -s.codec_context.width * s.codec_context.height))


def video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """The stream that the name chooses (`file_of`), else the first of `video_streams`, with its threads.

    Raises InputError if there is none, or it is a text.
    """
    if "tty" in container.format.name.split(","):
        raise InputError(f"{path}: not a video (it reads as a text)")
    stream = _chosen(path, "picture", container.streams.video) or next(iter(video_streams(container)), None)
    if stream is None:
        raise InputError(f"{path}: no video stream")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = int(os.environ.get(DECODER_THREADS, 0))
    return stream


def decoded(container: InputContainer, stream: Any, notes: Notes | None = None) -> Iterator[Any]:
    """The frames of a stream. Damaged data raises an FFmpegError; with `notes` what can be decoded is.

    Then it raises InputError only at the end, if more than `MOST_DAMAGED` of all packets could not be.
    """
    stream.codec_context.options = {"err_detect": "explode"}  # else decoders hide damage by what they guess
    if notes is None:
        try:
            yield from container.decode(stream)
        except IndexError as error:  # PyAV's own: an undeclared stream begins in the middle of the file
            raise av.error.InvalidDataError(errno.EINVAL, "a stream begins in the middle") from error
        return
    what, origin, time_s, packets, bad = "sound", container_start_s(container), 0.0, 0, 0
    if isinstance(stream, VideoStream):
        what = "picture"
        stream.codec_context.flags |= Flags.output_corrupt.value  # pictures that refer to a lost one
    in_units = stream.codec_context.name in _IN_UNITS
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except (av.error.FFmpegError, IndexError):  # the file ends here
            notes.damaged(what, time_s)
            break
        if packet is None:
            break
        packets += packet.size > 0
        if packet.dts is not None and packet.time_base is not None:
            time_s = max(0.0, float(packet.dts * packet.time_base) - origin)
        try:
            if packet.size and in_units and _is_blank(packet):
                raise av.error.InvalidDataError(errno.EINVAL, "a hole")  # decoders skip it without an error
            frames = packet.decode()
            if packet.is_corrupt:  # a transport stream counts its pieces
                notes.damaged(what, time_s)
        except av.error.FFmpegError:
            bad += 1
            notes.damaged(what, time_s)
            continue
        yield from frames
    if bad > MOST_DAMAGED * packets:
        raise InputError(f"{notes.path}: {bad} of {packets} packets of its {what} are damaged")
