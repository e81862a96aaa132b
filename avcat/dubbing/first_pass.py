"""The first pass over a video: finds and follows the faces, selects whose mouths move, and to which sound.

It keeps only landmarks; with those of the whole clip the crops can be smoothed without delay.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from math import ceil, inf
from pathlib import Path

import numpy as np

from avcat.ahead import ahead
from avcat.data.inputs import InputConfig
from avcat.dubbing.kept import load_faces, save_faces
from avcat.dubbing.plan import DubSettings, Plan, Voiced
from avcat.dubbing.portrait import Cast, Portrait, Which, called, chosen, portrait
from avcat.dubbing.speech import Speech
from avcat.dubbing.steady import Following
from avcat.dubbing.upright import SAMPLES, on_their_heads
from avcat.dubbing.visible import Looking
from avcat.errors import InputError
from avcat.face.hands import HandFinder
from avcat.face.landmarks import FaceDetector
from avcat.face.track import Person, Sightings, find_people
from avcat.files import sha256_of
from avcat.media.container import Notes, file_of
from avcat.media.reader import FrameReader
from avcat.media.shots import CutFinder
from avcat.media.timeline import Shown, fit_to
from avcat.media.video import Frame, VideoInfo, decode, probe

Progress = Callable[[str, int, int], None]  # name of the step, frames done, frames in all
_ROUNDING = 1e-6  # of a tick
_DECODED_AHEAD = 8  # frames
_SILENT_DB = -60.0
_CUT_OFF_S = 0.5  # how much earlier than its stated end a video may end
_SOON_S = 1e-6  # before the sound's end: a frame from then on would have no duration
_LATE_S = 0.1  # a picture that begins later is reported


class FirstPass:
    """Plans how videos are dubbed, with one face detector and for one kind of crops and mels."""

    def __init__(self, inputs: InputConfig, detector: FaceDetector) -> None:
        self._inputs, self._detector = inputs, detector

    @cached_property
    def _hands(self) -> HandFinder:
        return HandFinder()

    def plan(self, video: str | Path, audio: str | Path, settings: DubSettings, progress: Progress) -> Plan:
        """Errors as for `Dubber.dub`. Cheap checks come first, so that a bad input is reported before the work."""
        info, notes = probe(video), {path: Notes(path) for path in (video, audio, *settings.voices.values())}
        _refuse(info)
        heard = self._heard(info, audio, settings, notes[audio])
        speeches = {which: Speech(path, self._inputs.mel, notes[path]) for which, path in settings.voices.items()}
        lasts_s = inf if settings.length == "video" else heard.duration_s
        seen, last_s, remarks = self._seen(info, lasts_s, settings, progress, notes[video])
        people, warnings = self._voiced(info, seen, speeches or {settings.faces: heard}, settings)
        warnings += remarks
        warnings += [line for each in notes.values() for line in each.lines]
        if info.hdr:
            warnings.append(f"{info.path}: is HDR ({info.hdr}); the result is SDR")
        if seen.times_s[0] > _LATE_S:
            warnings.append(f"the picture begins at {seen.times_s[0]:.2f} s; before that the file has no whole one")
        if all(voiced.speech.loudness_db < _SILENT_DB for voiced in people):
            warnings.append("the sound is silent, so the mouths rest")
        ended_s = float(seen.times_s[-1]) + last_s
        if min(info.duration_s, lasts_s) - ended_s > _CUT_OFF_S:
            warnings.append(f"the video is cut off: it ends at {ended_s:.2f} s instead of {info.duration_s:.2f} s")
        shown = _schedule(info, seen.times_s, last_s, ended_s if settings.length == "video" else lasts_s, settings)
        cast = Cast([voiced.face for voiced in people])
        return Plan(info, seen.times_s, people, cast, shown, settings, heard.duration_s, tuple(warnings))

    def _heard(self, info: VideoInfo, audio: str | Path, settings: DubSettings, notes: Notes) -> Speech:
        """The sound of the result. Raises InputError if the reference is not shown while it lasts."""
        wanted_s = 0.0 if isinstance(settings.reference, str) else settings.reference
        if wanted_s > info.duration_s:
            raise InputError(f"{info.path}: no reference at {wanted_s:g} s, it lasts {info.duration_s:.2f} s")
        heard = Speech(audio, self._inputs.mel, notes)
        if wanted_s > heard.duration_s and settings.length == "sound":
            raise InputError(
                f"{info.path}: no reference at {wanted_s:g} s, as it is shown for {heard.duration_s:.2f} s, "
                f"as long as {audio} lasts"
            )
        return heard

    def _seen(
        self, info: VideoInfo, duration_s: float, settings: DubSettings, progress: Progress, notes: Notes
    ) -> tuple[Sightings, float, list[str]]:
        """As `_find`, from the file of `settings.kept_faces` if it is there, else written to it; and remarks on it.

        Raises InputError if faces stand on their heads, or the file is of another video.
        """
        if settings.kept_faces is None:
            found = self._find(info, duration_s, settings, progress, notes)
            self._check_upright(info, found[0])
            return *found, []
        made_from = {"video": sha256_of(file_of(info.path)), "fade_hidden": settings.fade_hidden}
        if settings.kept_faces.exists():
            return *load_faces(settings.kept_faces, made_from), [f"faces are those of {settings.kept_faces}"]
        seen, last_s = self._find(info, inf, settings, progress, notes)  # another sound may be longer
        self._check_upright(info, seen)
        save_faces(settings.kept_faces, seen, last_s, made_from)
        return seen, last_s, []

    def _find(
        self, info: VideoInfo, duration_s: float, settings: DubSettings, progress: Progress, notes: Notes
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
            with closing(ahead(decode(info.path, notes=notes), _DECODED_AHEAD)) as frames:
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
        if info.is_still:
            return seen, info.duration_s
        return seen, lasts_s or last.duration_s or _last_duration_s(info, last.time_s)

    def _voiced(
        self, info: VideoInfo, seen: Sightings, speeches: Mapping[Which, Speech], settings: DubSettings
    ) -> tuple[list[Voiced], list[str]]:
        """Each chosen person with their sound, and warnings. Raises InputError if no face matches a choice."""
        people: list[Voiced] = []
        warnings: list[str] = []
        speakers: dict[int, Which] = {}  # by the person's id
        speaks = None
        if "speaker" in speeches:
            from avcat.dubbing.speaking import agreement_of  # torch, which another redrawer may do without

            assert settings.syncnet is not None, "the speaker is found by a SyncNet"
            speaks = agreement_of(info.path, seen, settings.syncnet, "cpu")
        for which, speech in speeches.items():
            found = chosen(seen, which, speaks)
            if not found:
                what = "no face" if not seen.people else f"no face that is {called(which)}"
                raise InputError(f"{info.path}: {what} in any of its {seen.times_s.size} frames")
            for person in found:
                first = speakers.setdefault(id(person), which)
                if first == which:
                    people.append(Voiced(self._portrait(info, seen, person, settings), speech))
                    continue
                start, end = (seen.times_s[person.frames[n]] for n in (0, -1))
                warnings.append(
                    f"from {start:.2f} to {end:.2f} s one face is both {called(first)} and {called(which)}; "
                    "it speaks with the first one's sound"
                )
        return people, warnings

    def _check_upright(self, info: VideoInfo, seen: Sightings) -> None:
        """Raises InputError if the face that is seen longest stands on its head."""
        if not seen.people:
            return
        frames = max((person.frames for person in seen.people), key=len)
        reader = FrameReader(info.path, seen.times_s)
        places = np.linspace(0, len(frames) - 1, min(SAMPLES, len(frames))).astype(int)
        if on_their_heads(self._detector, [reader[frames[place]].image for place in places]):
            raise InputError(f"{info.path}: its faces stand on their heads; turn it by half a turn first")

    def _portrait(self, info: VideoInfo, seen: Sightings, person: Person, settings: DubSettings) -> Portrait:
        """A person's face; if the source is not to fade in, its mouth counts as visible throughout."""
        inputs = self._inputs
        face = portrait(person, seen.times_s, inputs.align, inputs.crop_size, float(info.pixel_aspect))
        return face if settings.fade_hidden else replace(face, visible=np.ones_like(face.visible))


def _refuse(info: VideoInfo) -> None:
    """Raises InputError for videos that would be dubbed wrongly."""
    if info.has_alpha:
        raise InputError(f"{info.path}: has an alpha channel, which the result could not keep; remove it first")


def _schedule(
    info: VideoInfo, times_s: np.ndarray, lasts_s: float, duration_s: float, settings: DubSettings
) -> list[Shown]:
    """Which frame is shown when, for as long as the sound; `lasts_s`: duration of the last frame."""
    pts = np.rint(times_s / float(info.time_base)).astype(np.int64)
    total = ceil(duration_s / info.time_base - _ROUNDING)
    try:
        fit = "freeze" if info.is_still else settings.fit
        return fit_to(pts, round(lasts_s / info.time_base), total, fit)
    except InputError as error:
        raise InputError(f"{info.path}: {error}") from None


def _last_duration_s(info: VideoInfo, last_s: float) -> float:
    """Duration of the last frame if it is not stated: to the video's stated end, or the average duration.

    The average if that end is implausible. A program stream states no end; an estimate from its bytes falls inside
    the last frame as often as after it.
    """
    usual, rest = float(1 / info.fps), info.duration_s - last_s
    return rest if usual <= rest <= 2 * usual else usual
