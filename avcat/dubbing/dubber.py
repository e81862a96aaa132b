"""Dubs a video with another sound: frames and sound in, frames out; memory does not grow with the length.

Two passes over the video. The first finds and follows the faces, and keeps only their landmarks; with those of the
whole clip the crops can be smoothed without delay. The second cuts the crops, redraws them in batches, each frame from
the sound at its own time, and pastes them back; decoding, redrawing and encoding run in parallel. Frames without a
face are unchanged, and if something hides the mouth, the source fades in.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from avcat.config import AlignConfig, MelConfig
from avcat.data.schema import FPS
from avcat.dubbing.ahead import ahead, side_by_side
from avcat.dubbing.detail import Detail
from avcat.dubbing.paste import match_colour, paste
from avcat.dubbing.portrait import Cast, Portrait, Which, called, chosen, portrait
from avcat.dubbing.region import face_mask, soft_redraw_mask
from avcat.dubbing.speech import Speech
from avcat.dubbing.steady import Following
from avcat.dubbing.visible import Looking, ranges
from avcat.dubbing.watermark import mark
from avcat.errors import InputError
from avcat.face.align import warp
from avcat.face.hands import HandFinder
from avcat.face.landmarks import FaceDetector
from avcat.face.track import Sightings, find_people
from avcat.media.reader import FrameReader
from avcat.media.shots import CutFinder
from avcat.media.timeline import Fit, Shown, fit_to
from avcat.media.video import Frame, VideoInfo, decode, probe
from avcat.media.writer import VideoWriter

Progress = Callable[[str, int, int], None]  # name of the step, frames done, frames in all
_ROUNDING = 1e-6  # of a tick
_CRF, _PRESET = 17, "veryfast"  # a third of the time of x264's default, with larger files of the same quality
_REFERENCES = 8  # kept at once
_AHEAD = 1  # batches that each step may be ahead of the next
_BATCH_BYTES = 64 * 2**20  # of frames: limits the batches of large pictures
_DECODED_AHEAD = 8  # frames
_SILENT_DB = -60.0
_CUT_OFF_S = 0.5  # how much earlier than its stated end a video may end
_SOON_S = 1e-6  # before the sound's end: a frame from then on would have no duration
_HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273
_MAX_FACES = 4
_HEARD_S = 0.5 / FPS  # the grid frame whose sound is used begins this long before the frame's middle
_HIDDEN = 0.5  # of visibility: less is reported as hidden


class CropRedrawer(Protocol):
    """What dubbing needs from a model (implemented by `avcat.inference.redraw.Redrawer`)."""

    crop_size: int
    image_size: int  # of the network's own pictures of a crop
    align: AlignConfig
    mel: MelConfig
    batch_frames: int
    workers: int  # threads that may redraw at once

    def start_worker(self) -> None:
        """Called first by each worker."""

    def encode_reference(self, crop: np.ndarray) -> Any:
        """uint8 [S, S, 3] -> what all frames with this reference share."""

    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: Any) -> np.ndarray:
        """uint8 [N, S, S, 3] and float32 [N, 80, 20] -> uint8 [N, S, S, 3], new in the redrawn region.

        Without a reference (None) each crop is its own reference.
        """


# The frame nearest to a time in s, that of the most usual mouth, the first; same: each frame is its own reference.
ReferenceFrame = float | Literal["usual", "first", "same"]


@dataclass(frozen=True)
class DubSettings:
    """How a video is dubbed."""

    faces: Which = "largest"  # whose mouths the sound moves
    voices: Mapping[Which, Path] = field(default_factory=dict)  # instead: a separate sound for each of these faces
    fit: Fit = "pingpong"  # what is shown if the sound is longer than the video
    reference: ReferenceFrame = "usual"  # the frame that shows the network the person's appearance
    offset_s: float = 0.0  # how much later than the sound mouths move
    fade_hidden: bool = True  # keep the source's mouth while something hides it
    sharpen: bool = True  # give faces larger than the network's pictures the detail of their source, within bounds


class DubbedFrame(NamedTuple):
    """One frame of the result."""

    image: np.ndarray  # uint8 [height, width, 3] RGB
    pts: int  # ticks of the source's time base
    duration: int
    redrawn: bool  # False: no face, or a hidden mouth; the source's picture


@dataclass(frozen=True)
class DubSummary:
    """What was written."""

    frames: int
    redrawn: int
    people: int  # with redrawn mouths; a person who returns after a cut or a second is counted again
    duration_s: float
    hidden_s: tuple[tuple[float, float], ...]  # (start, end) of stretches with a hidden mouth, left unchanged
    warnings: tuple[str, ...]  # unexpected properties of the result, one line each, those stretches included

    @property
    def told(self) -> str:
        """In words."""
        left = f"{self.frames - self.redrawn} left as they were, with no face or no mouth to be seen"
        return f"{self.duration_s:.2f} s, {self.frames} frames, {left}"


@dataclass(frozen=True)
class _Voiced:
    """One face and the sound that moves its mouth."""

    face: Portrait
    speech: Speech


@dataclass(frozen=True)
class _Clip:
    """Input of the second pass."""

    info: VideoInfo
    times_s: np.ndarray  # float64 [T] of the source's frames
    people: list[_Voiced]
    cast: Cast  # the people's faces
    shown: list[Shown]
    settings: DubSettings
    warnings: tuple[str, ...]

    def faces(self, frame: int) -> Iterator[tuple[int, Portrait, int]]:
        """The faces in a frame of the source: the person's number, their portrait and its row."""
        for person in self.cast.at(frame):
            face = self.people[person].face
            if (row := face.at(frame)) is not None:
                yield person, face, row


class _Cutting(NamedTuple):
    """One face in one frame of a batch."""

    frame: int  # its number in the batch
    person: int
    row: int  # of the person's portrait
    crop: np.ndarray  # uint8 [S, S, 3]


class _Heard(NamedTuple):
    """One person's crops in a batch, with their mel windows and reference."""

    crops: np.ndarray  # uint8 [N, S, S, 3]
    windows: np.ndarray  # float32 [N, 80, 20] of mels
    reference: Any  # None: each crop is its own reference


class _Batch(NamedTuple):
    """Some frames on their way through the second pass."""

    shown: list[Shown]
    images: list[np.ndarray]
    cuttings: list[_Cutting]
    heard: list[_Heard]  # by person, in the order of the cuttings; empty before `_hear`
    drawn: list[np.ndarray]  # uint8 [S, S, 3] per cutting; empty before `_redraw`


class Dubber:
    """Redraws mouths in videos with one model and one face detector."""

    def __init__(self, redrawer: CropRedrawer, detector: FaceDetector) -> None:
        self._redrawer, self._detector = redrawer, detector
        self._region = soft_redraw_mask(redrawer.crop_size)

    @cached_property
    def _hands(self) -> HandFinder:
        return HandFinder()

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu", **options: Any) -> "Dubber":
        """With a model file of kind `avcat` and Face Mesh; `options` as for `Redrawer.from_checkpoint`.

        Raises InputError if the file cannot be used.
        """
        from avcat.face.landmarks import MediaPipeDetector
        from avcat.inference.redraw import Redrawer  # torch; not needed with another redrawer

        return cls(Redrawer.from_checkpoint(path, device, **options), MediaPipeDetector(max_faces=_MAX_FACES))

    def dub(
        self,
        video: str | Path,
        audio: str | Path,
        out: str | Path,
        settings: DubSettings = DubSettings(),  # frozen
        *,
        threads: int = 0,
        progress: Progress = lambda *_: None,
    ) -> DubSummary:
        """Writes `out` (MP4) with the size and time stamps of `video`, and the sound and length of `audio`.

        The bytes are reproducible only with the same number of encoder `threads`; 0 takes all cores.
        Raises InputError if an input cannot be used, no frame has a face, or `out` cannot be written.
        """
        clip = self._prepare(video, audio, settings, progress)
        info, redrawn = clip.info, 0
        writing = VideoWriter(
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
        )
        with writing as writer, closing(self._frames(clip)) as frames:
            for done, frame in enumerate(frames, 1):
                writer.write(frame.image, frame.pts, frame.duration)
                redrawn += frame.redrawn
                progress("redraw", done, len(clip.shown))
        last = clip.shown[-1]
        duration_s = float((last.pts + last.duration) * info.time_base)
        hidden, warnings = _hidden(clip), list(clip.warnings)
        if hidden:
            stretches = ", ".join(f"{start:.2f}-{end:.2f} s" for start, end in hidden)
            warnings.append(f"a mouth is hidden, and was left as it was, at {stretches}")
        return DubSummary(len(clip.shown), redrawn, len(clip.people), duration_s, tuple(hidden), tuple(warnings))

    def frames(
        self,
        video: str | Path,
        audio: str | Path,
        settings: DubSettings = DubSettings(),  # frozen
    ) -> Iterator[DubbedFrame]:
        """The frames that `dub` writes, as a stream. Errors as for `dub`."""
        return self._frames(self._prepare(video, audio, settings, lambda *_: None))

    def _prepare(self, video: str | Path, audio: str | Path, settings: DubSettings, progress: Progress) -> _Clip:
        """The first pass. Cheap checks come first, so that a bad input is reported before the work."""
        info = probe(video)
        _refuse(info)
        if not isinstance(settings.reference, str) and settings.reference > info.duration_s:
            raise InputError(f"{video}: no reference at {settings.reference:g} s, it lasts {info.duration_s:.2f} s")
        heard = Speech(audio, self._redrawer.mel)
        if not isinstance(settings.reference, str) and settings.reference > heard.duration_s:
            raise InputError(
                f"{video}: no reference at {settings.reference:g} s, as it is shown for {heard.duration_s:.2f} s, "
                f"as long as {audio} lasts"
            )
        speeches = {which: Speech(path, self._redrawer.mel) for which, path in settings.voices.items()}
        seen, lasts_s = self._find(info, heard.duration_s, settings, progress)
        people, warnings = self._voiced(info, seen, speeches or {settings.faces: heard})
        if all(voiced.speech.loudness_db < _SILENT_DB for voiced in people):
            warnings.append("the sound is silent, so the mouths rest")
        ended_s = float(seen.times_s[-1]) + lasts_s
        if min(info.duration_s, heard.duration_s) - ended_s > _CUT_OFF_S:
            warnings.append(f"the video is cut off: it ends at {ended_s:.2f} s instead of {info.duration_s:.2f} s")
        pts = np.rint(seen.times_s / float(info.time_base)).astype(np.int64)
        total = math.ceil(heard.duration_s / info.time_base - _ROUNDING)
        try:
            shown = fit_to(pts, round(lasts_s / info.time_base), total, settings.fit)
        except InputError as error:
            raise InputError(f"{video}: {error}") from None
        cast = Cast([voiced.face for voiced in people])
        return _Clip(info, seen.times_s, people, cast, shown, settings, tuple(warnings))

    def _voiced(
        self, info: VideoInfo, seen: Sightings, speeches: Mapping[Which, Speech]
    ) -> tuple[list[_Voiced], list[str]]:
        """Each chosen person with their sound, and warnings. Raises InputError if no face matches a choice."""
        people: list[_Voiced] = []
        warnings: list[str] = []
        speakers: dict[int, Which] = {}  # by the person's id
        for which, speech in speeches.items():
            found = chosen(seen, which)
            if not found:
                what = "no face" if not seen.people else f"no face that is {called(which)}"
                raise InputError(f"{info.path}: {what} in any of its {seen.times_s.size} frames")
            for person in found:
                first = speakers.setdefault(id(person), which)
                if first != which:
                    start, end = (seen.times_s[person.frames[n]] for n in (0, -1))
                    warnings.append(
                        f"from {start:.2f} to {end:.2f} s one face is both {called(first)} and {called(which)}; "
                        "it speaks with the first one's sound"
                    )
                    continue
                face = portrait(
                    person,
                    seen.times_s,
                    self._redrawer.align,
                    self._redrawer.crop_size,
                    float(info.pixel_aspect),
                )
                people.append(_Voiced(face, speech))
        return people, warnings

    def _find(
        self, info: VideoInfo, duration_s: float, settings: DubSettings, progress: Progress
    ) -> tuple[Sightings, float]:
        """All people in all frames that will be shown, and how long the last of these is shown, in seconds."""
        detector: FaceDetector = Following(self._detector)
        if settings.fade_hidden:
            detector = Looking(detector, self._hands)
        expected = max(1, round(min(info.duration_s, duration_s) * info.fps))
        last: Frame | None = None
        lasts_s = 0.0

        def images() -> Iterator[tuple[float, np.ndarray]]:
            nonlocal last, lasts_s
            with closing(ahead(decode(info.path), _DECODED_AHEAD)) as frames:
                for frame in frames:
                    if frame.time_s >= duration_s - _SOON_S:
                        lasts_s = frame.time_s - last.time_s if last is not None else 0.0
                        return
                    last = frame
                    yield frame.time_s, frame.image
                    progress("find faces", frame.index + 1, max(expected, frame.index + 1))

        seen = find_people(images(), detector, CutFinder())
        if last is None:
            raise InputError(f"{info.path}: shows no frame before the sound has ended")
        return seen, lasts_s or last.duration_s or _last_duration_s(info, last.time_s)

    def _frames(self, clip: _Clip) -> Generator[DubbedFrame, None, None]:
        """The second pass: cut, redrawn and pasted in parallel, in the order of the frames."""
        heard, details = ahead(self._hear(clip), _AHEAD), [Detail() for _ in clip.people]
        drawn = side_by_side(self._redraw, heard, self._redrawer.workers, self._redrawer.start_worker)
        with closing(heard), closing(ahead(drawn, _AHEAD)) as batches:
            for batch in batches:
                yield from self._paste(clip, batch, details)

    def _cut(self, clip: _Clip) -> Iterator[_Batch]:
        """Batches of frames with the crops of all faces in them."""
        reader = FrameReader(clip.info.path, clip.times_s)
        size = min(self._redrawer.batch_frames, max(1, _BATCH_BYTES // (3 * clip.info.width * clip.info.height)))
        for start in range(0, len(clip.shown), size):
            shown = clip.shown[start : start + size]
            images = [reader[frame.source] for frame in shown]
            cuttings = [
                _Cutting(n, person, row, self._crop(images[n], face.matrices[row]))
                for n, frame in enumerate(shown)
                for person, face, row in clip.faces(frame.source)
                if _shows(face, row, clip.settings)
            ]
            yield _Batch(shown, images, sorted(cuttings, key=lambda cutting: cutting.person), [], [])

    def _hear(self, clip: _Clip) -> Iterator[_Batch]:
        """Batches with the sound of each crop, and the reference of each person."""
        references: dict[int, Any] = {}
        for batch in self._cut(clip):
            tick = clip.info.time_base
            shown_s = np.array([float((shown.pts + shown.duration / 2) * tick) for shown in batch.shown]) - _HEARD_S
            windows: dict[int, np.ndarray] = {}
            heard: list[_Heard] = []
            for person, cuttings in _by_person(batch.cuttings):
                speech = clip.people[person].speech
                if id(speech) not in windows:
                    windows[id(speech)] = speech.windows(shown_s - clip.settings.offset_s)
                if person not in references and clip.settings.reference != "same":
                    references[person] = self._reference(clip, clip.people[person].face)
                    if len(references) > _REFERENCES:  # of earlier shots
                        references.pop(next(iter(references)))
                crops = np.stack([cutting.crop for cutting in cuttings])
                at = [cutting.frame for cutting in cuttings]
                heard.append(_Heard(crops, windows[id(speech)][at], references.get(person)))
            yield batch._replace(heard=heard)

    def _redraw(self, batch: _Batch) -> _Batch:
        drawn = [crop for heard in batch.heard for crop in self._redrawer.redraw(*heard)]
        return batch._replace(heard=[], drawn=drawn)

    def _reference(self, clip: _Clip, face: Portrait) -> Any:
        """The encoded reference: of the frame that the settings select."""
        rows, wanted = np.flatnonzero(face.found), clip.settings.reference
        if clip.settings.fade_hidden and (face.visible >= _HIDDEN).any():
            rows = rows[face.visible[rows] >= _HIDDEN]
        if wanted == "usual":
            off = face.unusual[rows]
        elif wanted == "first":
            off = rows
        else:
            off = np.abs(clip.times_s[face.first + rows] - wanted)
        row = int(rows[off.argmin()])
        image = FrameReader(clip.info.path, clip.times_s)[face.first + row]
        return self._redrawer.encode_reference(self._crop(image, face.matrices[row]))

    def _paste(self, clip: _Clip, batch: _Batch, details: Sequence[Detail]) -> Iterator[DubbedFrame]:
        drawn: dict[int, list[tuple[_Cutting, np.ndarray]]] = {}
        for cutting, crop in zip(batch.cuttings, batch.drawn, strict=True):
            drawn.setdefault(cutting.frame, []).append((cutting, crop))
        for n, (shown, image) in enumerate(zip(batch.shown, batch.images, strict=True)):
            if n in drawn:
                image = image.copy()  # the reader may return the same one again
            for cutting, crop in drawn.get(n, []):
                face = clip.people[cutting.person].face
                alpha = self._region * face_mask(face.outlines[cutting.row], self._redrawer.crop_size)
                crop = match_colour(crop, cutting.crop, alpha)
                if clip.settings.fade_hidden:
                    alpha *= face.visible[cutting.row]
                marked = mark(crop, alpha, float(shown.pts * clip.info.time_base), face.eyes)
                detail = details[cutting.person] if clip.settings.sharpen else None
                paste(image, marked, face.matrices[cutting.row], alpha, detail, self._redrawer.image_size)
            yield DubbedFrame(image, shown.pts, shown.duration, n in drawn)

    def _crop(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return warp(image, matrix, self._redrawer.crop_size)


def _shows(face: Portrait, row: int, settings: DubSettings) -> bool:
    """Whether anything of the redrawn mouth will be seen."""
    return not settings.fade_hidden or face.visible[row] > 0


def _hidden(clip: _Clip) -> list[tuple[float, float]]:
    """(start, end) of stretches in which the result leaves a mouth unchanged because it is hidden."""
    if not clip.settings.fade_hidden:
        return []
    hidden = [any(face.visible[row] < _HIDDEN for _, face, row in clip.faces(shown.source)) for shown in clip.shown]
    tick = float(clip.info.time_base)
    starts = [shown.pts * tick for shown in clip.shown]
    return ranges(hidden, starts, [(shown.pts + shown.duration) * tick for shown in clip.shown])


def _by_person(cuttings: list[_Cutting]) -> Iterator[tuple[int, list[_Cutting]]]:
    for person, group in groupby(cuttings, key=lambda cutting: cutting.person):
        yield person, list(group)


def _refuse(info: VideoInfo) -> None:
    """Raises InputError for videos that would be dubbed wrongly."""
    if info.colour.transfer in _HDR:
        raise InputError(f"{info.path}: is HDR ({_HDR[info.colour.transfer]}); convert it to SDR first")
    if info.interlaced:
        raise InputError(f"{info.path}: is interlaced; deinterlace it first")
    if info.has_alpha:
        raise InputError(f"{info.path}: has an alpha channel, which the result could not keep; remove it first")


def _last_duration_s(info: VideoInfo, last_s: float) -> float:
    """Duration of the last frame if it is not stated: to the video's stated end, or the average duration.

    The average if that end is implausible. A program stream states no end; an estimate from its bytes falls inside
    the last frame as often as after it.
    """
    usual, rest = float(1 / info.fps), info.duration_s - last_s
    return rest if usual <= rest <= 2 * usual else usual
