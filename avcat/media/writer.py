"""Writes video: H.264 in MP4, QuickTime or Matroska, every frame with its own time stamp, with or without sound."""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from avcat.data.schema import FPS
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.media.planes import Planes, even, planes_of_rgb, to_frame
from avcat.media.soundtrack import Mixed, Packets, Samples, add_sound, sound_rate
from avcat.media.video import Colour

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # of a suffix; others are written as MP4
_LIMITED, _FULL = 1, 2  # libav's numbers of ranges


class VideoWriter:
    """A context manager that takes frames in RGB or YUV; the file appears under its name only on success.

    `time_base` is the duration of a tick in seconds: 1 / `fps` by default, so that frame n has pts n; finer for uneven
    frames, and then `fps` is their average. `audio` is a file, or samples or a mixture, which are encoded. The default
    audio stream of a file is copied unchanged if MP4 supports its codec, else encoded to AAC. Odd sizes, which H.264
    cannot hold, grow by one repeated row or column. `full_range`: of planes (`avcat.media.planes`); `x264`: further
    parameters, each after a colon. Sound from `sound_until_s` on is left out. The same input gives the same bytes only
    with the same `threads`; 0 takes all cores.
    Raises InputError if the file cannot be written or the sound cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        *,
        fps: Fraction | int = FPS,
        time_base: Fraction | None = None,
        audio: str | Path | Samples | Mixed | None = None,
        crf: int = 18,
        preset: str = "medium",
        threads: int = 0,
        colour: Colour = Colour(),  # noqa: B008  # a tuple
        pixel_aspect: Fraction = Fraction(1),
        full_range: bool = False,
        x264: str = "",
        sound_until_s: float = inf,
    ) -> None:
        self._path = Path(path)
        self._size = (width, height)
        self._fps = Fraction(fps)
        self._time_base = time_base or 1 / self._fps
        self._audio = Path(audio) if isinstance(audio, str) else audio
        # Without cpu-independent, x264's macroblock tree gives different bytes from run to run at some sizes.
        self._options = {
            "crf": str(crf),
            "preset": preset,
            "threads": str(threads),
            "x264-params": f"cpu-independent=1{x264}",
        }
        self._colour, self._pixel_aspect, self._full_range = colour, pixel_aspect, full_range
        self._sound_until_s = sound_until_s
        self._converter = VideoReformatter()
        self._durations: dict[int, int] = {}  # of the frames inside the encoder, by pts: it does not keep them
        self._next_pts = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack, _writing(self._path):
            part = stack.enter_context(atomic_path(self._path))
            rate = sound_rate(self._audio) if self._audio is not None else self._time_base.denominator
            # Edit lists count in movie ticks: at the sound's rate they are exact to the sample, at the usual 1 kHz not.
            form = FORMATS.get(self._path.suffix.lower(), "mp4")
            options = {"movflags": "+faststart", "movie_timescale": str(rate)} if form != "matroska" else {}
            self._out = stack.enter_context(av.open(f"file:{part}", "w", format=form, options=options))
            self._stream = self._video_stream()
            self._sound: Packets = (
                add_sound(self._out, self._audio, copy=form != "matroska") if self._audio is not None else iter(())
            )
            self._waiting = next(self._sound, None)
            self._stack = stack.pop_all()
        return self

    def _video_stream(self) -> av.VideoStream:
        stream = self._out.add_stream("libx264", rate=self._fps, options=self._options)
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        stream.time_base = codec.time_base = self._time_base
        codec.sample_aspect_ratio = self._pixel_aspect
        codec.color_range = _FULL if self._full_range else _LIMITED
        codec.colorspace, codec.color_primaries, codec.color_trc = self._colour
        return stream

    def write(self, image: np.ndarray | Planes, pts: int | None = None, duration: int = 1) -> None:
        """Adds a picture, shown from `pts` ticks on (by default when the last frame ends).

        uint8 [height, width, 3] RGB, which becomes YUV of limited range, or planes, which are encoded as they are.
        """
        shape = image.y.shape if isinstance(image, Planes) else image.shape[:2]
        assert shape == (self._size[1], self._size[0]), (shape, self._size)
        pts = self._next_pts if pts is None else pts
        self._next_pts, self._durations[pts] = pts + duration, duration
        if not isinstance(image, Planes):
            odd = [(0, side % 2) for side in shape]
            image = np.pad(image, [*odd, (0, 0)], mode="edge") if any(map(any, odd)) else image
            image = planes_of_rgb(image, self._colour.matrix, self._converter)
        frame = to_frame(even(image), self._full_range)
        frame.pts, frame.time_base = pts, self._time_base
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        with _writing(self._path):
            packets = self._stream.encode(frame)
        for packet in packets:
            assert packet.pts is not None
            assert packet.dts is not None
            packet.duration = self._durations.pop(packet.pts)
            self._mux_sound(float(packet.dts * self._time_base))
            with _writing(self._path):
                self._out.mux(packet)

    def _mux_sound(self, until_s: float) -> None:
        """Interleaves sound with the pictures of the same time, so players need not seek and buffers stay small."""
        with _writing(self._path):
            while self._waiting is not None and self._waiting[0] <= until_s:
                if self._waiting[0] < self._sound_until_s:
                    self._out.mux(self._waiting[1])
                self._waiting = next(self._sound, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with contextlib.suppress(av.error.FFmpegError):  # a discarded file need not be completed
                self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._mux(None)
            self._mux_sound(float("inf"))
            with _writing(self._path):
                self._out.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns errors of the operating system while writing into one line for the user."""
    try:
        yield
    except InputError:
        raise
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
