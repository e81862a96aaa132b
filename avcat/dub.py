"""A video made to say another sound: frames and sound in, frames out, in memory that the length does not raise.

Two passes over the video. The first finds and follows the face, and keeps its landmarks alone; with those of the whole
clip the crops can be smoothed without delay. The second cuts the crops, redraws them in batches, each frame from the
sound at its own time, and pastes them back. Frames without a face pass through untouched.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from avcat.config import AlignConfig, MelConfig
from avcat.errors import InputError
from avcat.face.align import alignment, warp
from avcat.face.landmarks import FaceDetector
from avcat.face.mask import soft_redraw_mask
from avcat.face.paste import paste
from avcat.face.track import Track, track_faces
from avcat.media.audio import load_audio
from avcat.media.mel import mel_spectrogram, mel_window_at
from avcat.media.reader import FrameReader
from avcat.media.timeline import Fit, Shown, fit_to
from avcat.media.video import VideoInfo, decode, probe
from avcat.media.writer import VideoWriter

Progress = Callable[[str, int, int], None]  # what is done, how many frames of it, of how many
_ROUNDING = 1e-6  # of a tick
_CRF, _PRESET = 17, "veryfast"  # a third of the time of x264's default, at the cost of larger files, not of pictures


class CropRedrawer(Protocol):
    """What dubbing needs of a model (`avcat.redraw.Redrawer` is one)."""

    crop_size: int
    align: AlignConfig
    mel: MelConfig
    batch_frames: int

    def encode_reference(self, crop: np.ndarray) -> Any:
        """uint8 [S, S, 3] -> what all frames that refer to it share."""

    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: Any) -> np.ndarray:
        """uint8 [N, S, S, 3] and float32 [N, 80, 20] -> uint8 [N, S, S, 3], new in the redrawn region."""


class DubbedFrame(NamedTuple):
    """One frame of the result."""

    image: np.ndarray  # uint8 [height, width, 3] RGB
    pts: int  # ticks of the source's time base
    duration: int
    redrawn: bool  # False: no face, the source's picture


@dataclass(frozen=True)
class DubSummary:
    """What came out."""

    frames: int
    redrawn: int
    duration_s: float


@dataclass(frozen=True)
class _Clip:
    """All that the second pass needs."""

    info: VideoInfo
    track: Track
    matrices: np.ndarray  # float64 [T, 2, 3], source to crop
    shown: list[Shown]
    mel: np.ndarray  # float32 [80, columns]


class Dubber:
    """Redraws the mouth in videos with one model and one face detector."""

    def __init__(self, redrawer: CropRedrawer, detector: FaceDetector) -> None:
        self._redrawer, self._detector = redrawer, detector
        self._alpha = soft_redraw_mask(redrawer.crop_size)

    def dub(
        self,
        video: str | Path,
        audio: str | Path,
        out: str | Path,
        *,
        fit: Fit = "pingpong",
        reference_s: float | None = None,
        threads: int = 0,
        progress: Progress = lambda *_: None,
    ) -> DubSummary:
        """Writes `out` (MP4) with the size and time stamps of `video`, and the sound and length of `audio`.

        The reference frame, which shows the network who it draws, is the first one with a face, or the one nearest to
        `reference_s`. The same bytes come out only where the encoder has the same `threads`; 0 takes what there is.
        Raises InputError where an input cannot be used, no frame has a face, or `out` cannot be written.
        """
        clip = self._prepare(Path(video), Path(audio), fit, progress)
        info, redrawn = clip.info, 0
        with VideoWriter(
            out,
            info.width,
            info.height,
            fps=info.fps,
            time_base=info.time_base,
            audio=Path(audio),
            crf=_CRF,
            preset=_PRESET,
            threads=threads,
            colour=info.colour,
            pixel_aspect=info.pixel_aspect,
        ) as writer:
            for done, frame in enumerate(self._frames(clip, reference_s), 1):
                writer.write(frame.image, frame.pts, frame.duration)
                redrawn += frame.redrawn
                progress("redraw", done, len(clip.shown))
        last = clip.shown[-1]
        return DubSummary(len(clip.shown), redrawn, float((last.pts + last.duration) * info.time_base))

    def frames(
        self, video: str | Path, audio: str | Path, *, fit: Fit = "pingpong", reference_s: float | None = None
    ) -> Iterator[DubbedFrame]:
        """The frames that `dub` writes, as a stream. Errors as `dub`."""
        return self._frames(self._prepare(Path(video), Path(audio), fit, lambda *_: None), reference_s)

    def _prepare(self, video: Path, audio: Path, fit: Fit, progress: Progress) -> _Clip:
        """The first pass. Cheap checks come first, so that a bad input is told before the work."""
        info, config = probe(video), self._redrawer.mel
        sound = load_audio(audio, config.sample_rate)
        duration_s = sound.size / config.sample_rate
        track = self._track(info, duration_s, progress)
        if not track.found.any():
            raise InputError(f"{video}: no face in any of its {track.found.size} frames")
        pts = np.rint(track.times_s / float(info.time_base)).astype(np.int64)
        total = math.ceil(duration_s / info.time_base - _ROUNDING)
        try:
            shown = fit_to(pts, _last_duration(info, int(pts[-1])), total, fit)
        except InputError as error:
            raise InputError(f"{video}: {error}") from None
        matrices = alignment(track.eyes, track.times_s, self._redrawer.align, self._redrawer.crop_size)
        return _Clip(info, track, matrices, shown, mel_spectrogram(sound, config))

    def _track(self, info: VideoInfo, duration_s: float, progress: Progress) -> Track:
        """The face in all frames that will be shown."""
        expected = max(1, round(min(info.duration_s, duration_s) * info.fps))

        def images() -> Iterator[tuple[float, np.ndarray]]:
            for frame in decode(info.path, end_s=duration_s):
                yield frame.time_s, frame.image
                progress("find faces", frame.index + 1, max(expected, frame.index + 1))

        track = track_faces(images(), self._detector)
        if not track.found.size:
            raise InputError(f"{info.path}: shows no frame before the sound has ended")
        return track

    def _frames(self, clip: _Clip, reference_s: float | None) -> Iterator[DubbedFrame]:
        """The second pass."""
        reader = FrameReader(clip.info.path, clip.track.times_s)
        first = _reference_frame(clip.track, reference_s)
        reference = self._redrawer.encode_reference(self._crop(clip, first, reader[first]))
        for start in range(0, len(clip.shown), self._redrawer.batch_frames):
            batch = clip.shown[start : start + self._redrawer.batch_frames]
            yield from self._redraw_batch(clip, batch, [reader[shown.source] for shown in batch], reference)

    def _redraw_batch(
        self, clip: _Clip, batch: list[Shown], images: list[np.ndarray], reference: Any
    ) -> Iterator[DubbedFrame]:
        faces = [n for n, shown in enumerate(batch) if clip.track.found[shown.source]]
        drawn: dict[int, np.ndarray] = {}
        if faces:
            crops = np.stack([self._crop(clip, batch[n].source, images[n]) for n in faces])
            times_s = np.array([float(batch[n].pts * clip.info.time_base) for n in faces])
            redrawn = self._redrawer.redraw(crops, mel_window_at(clip.mel, times_s), reference)
            drawn = dict(zip(faces, redrawn, strict=True))
        for n, (shown, image) in enumerate(zip(batch, images, strict=True)):
            if n in drawn:
                image = image.copy()  # the reader may hand the same one out again
                paste(image, drawn[n], clip.matrices[shown.source], self._alpha)
            yield DubbedFrame(image, shown.pts, shown.duration, n in drawn)

    def _crop(self, clip: _Clip, source: int, image: np.ndarray) -> np.ndarray:
        return warp(image, clip.matrices[source], self._redrawer.crop_size)


def _last_duration(info: VideoInfo, last_pts: int) -> int:
    """Ticks that the last frame lasts: to the video's stated end, if that is believable, else as long as the average.

    A program stream states no end; what is guessed from its bytes falls inside the last frame as often as after it.
    """
    usual = max(1, round(1 / (info.fps * info.time_base)))
    rest = round(info.duration_s / info.time_base) - last_pts
    return rest if usual <= rest <= 2 * usual else usual


def _reference_frame(track: Track, reference_s: float | None) -> int:
    """The number of the frame with a face that is the first, or the nearest to `reference_s`."""
    faces = np.flatnonzero(track.found)
    if reference_s is None:
        return int(faces[0])
    return int(faces[np.abs(track.times_s[faces] - reference_s).argmin()])
