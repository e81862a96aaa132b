"""Dubs a video with another sound: frames and sound in, frames out; memory does not grow with the length.

Two passes over the video: the first finds the faces and plans (`first_pass`), the second redraws (`second_pass`);
encoding runs beside it. Frames without a face are unchanged, and if something hides the mouth, the source fades in.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avcat.data.inputs import InputConfig
from avcat.dubbing.first_pass import FirstPass, Progress
from avcat.dubbing.plan import DubSettings, Mix
from avcat.dubbing.second_pass import DubbedFrame, SecondPass
from avcat.face.landmarks import FaceDetector
from avcat.media.soundtrack import Mixed
from avcat.media.writer import VideoWriter

if TYPE_CHECKING:
    from avcat.inference.redraw import Redrawer

# With x264's usual settings mean colours move at each encoding, as it drops small residuals; with these less, in larger
# files (benchmarks/colours.py). Less still would be possible, in files of three times the size.
_TRUE_COLOURS = ":chroma-qp-offset=-12:no-fast-pskip=1"
CRF, PRESET = 17, "veryfast"  # a third of the time of x264's default, with larger files of the same quality
_MAX_FACES = 4


def _sound(audio: Path, video: Path, mix: Mix | None) -> Path | Mixed:
    """What the result sounds like."""
    return Mixed(audio, mix.track or video, mix.level_db) if mix else audio


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
    def line(self) -> str:
        """In words."""
        left = f"{self.frames - self.redrawn} left as they were, with no face or no mouth to be seen"
        return f"{self.duration_s:.2f} s, {self.frames} frames, {left}"


class Dubber:
    """Redraws mouths in videos with one model and one face detector."""

    def __init__(self, redrawer: "Redrawer", detector: FaceDetector) -> None:
        self._first = FirstPass(InputConfig(redrawer.crop_size, redrawer.align, redrawer.mel), detector)
        self._second = SecondPass(redrawer)

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu", **options: Any) -> "Dubber":
        """With a model file and Face Mesh; `options` as for `avcat.inference.redraw.Redrawer.from_checkpoint`.

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
        settings: DubSettings = DubSettings(),  # noqa: B008  # frozen
        *,
        threads: int = 0,
        progress: Progress = lambda *_: None,
    ) -> DubSummary:
        """Writes `out` with the size and time stamps of `video`, and the sound and length of `audio`.

        Its format is that of its suffix (`avcat.media.writer.FORMATS`).

        The bytes are reproducible only with the same number of encoder `threads`; 0 takes all cores.
        Raises InputError if an input cannot be used, no frame has a face, or `out` cannot be written.
        """
        plan = self._first.plan(video, audio, settings, progress)
        info, redrawn = plan.info, 0
        writing = VideoWriter(
            out,
            info.width,
            info.height,
            fps=info.fps,
            time_base=info.time_base,
            audio=_sound(Path(audio), info.path, settings.mix),
            crf=CRF,
            preset=PRESET,
            threads=threads,
            colour=info.colour,
            pixel_aspect=info.pixel_aspect,
            full_range=info.full_range,
            x264=_TRUE_COLOURS,
            sound_until_s=plan.end_s,
        )
        with writing as writer, closing(self._second.frames(plan)) as frames:
            for done, frame in enumerate(frames, 1):
                writer.write(frame.planes, frame.pts, frame.duration)
                redrawn += frame.redrawn
                progress("redraw", done, len(plan.shown))
        hidden, warnings = plan.hidden_s(), list(plan.warnings)
        if hidden:
            stretches = ", ".join(f"{start:.2f}-{end:.2f} s" for start, end in hidden)
            warnings.append(f"a mouth is hidden, and was left as it was, at {stretches}")
        return DubSummary(len(plan.shown), redrawn, len(plan.people), plan.end_s, tuple(hidden), tuple(warnings))

    def frames(
        self,
        video: str | Path,
        audio: str | Path,
        settings: DubSettings = DubSettings(),  # noqa: B008  # frozen
    ) -> Iterator[DubbedFrame]:
        """The frames that `dub` writes, as a stream. Errors as for `dub`."""
        return self._second.frames(self._first.plan(video, audio, settings, lambda *_: None))
