"""The `avcat` command."""

import argparse
import math
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from avcat.checks import MODEL_VARIABLE, check_device, check_output, model_path
from avcat.commands import add_credentials, add_export, add_web, credentials_of
from avcat.errors import InputError
from avcat.media.timeline import FITS
from avcat.study.command import add_study
from avcat.verify import add_verify

if TYPE_CHECKING:
    from avcat.dubbing.portrait import Which

_EXAMPLES = """\
examples:
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --model model.pt
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --fit freeze --reference 2.5
  avcat dub duo.mp4 both.wav -o dubbed.mp4 --voice left=anna.wav --voice right=ben.wav
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --credentials cert.pem --key key.pem
  avcat fit talk.mp4 -o person.pt --model model.pt
  avcat export model.pt -o model.onnx
  avcat web --model model.pt
  avcat verify dubbed.mp4
  avcat info model.pt
  avcat info talk.mp4
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 1 where `verify` finds no mark, 2 for bad input, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, it cleans up as on Ctrl-C
    try:
        return arguments.run(arguments) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="avcat",
        description="Makes a talking face say another sound track.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"avcat {version('avcat')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_dub(commands)
    _add_fit(commands)
    add_export(commands)
    add_web(commands)
    add_verify(commands)
    add_study(commands, check_device)
    info = commands.add_parser("info", help="say what a model, video or sound file holds")
    info.add_argument("file", metavar="FILE", type=Path)
    info.set_defaults(run=_info)
    return parser


def _add_dub(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    dub = commands.add_parser(
        "dub",
        help="redraw the mouth in a video so that it says a sound",
        description="Redraws the mouth in VIDEO so that it says AUDIO. The result has the size and frame rate of VIDEO "
        "and the length of AUDIO. Frames without a face stay as they are. After a cut, faces are chosen anew.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dub.add_argument("video", metavar="VIDEO", type=Path, help="a video of a talking person; its own sound is not used")
    dub.add_argument("audio", metavar="AUDIO", type=Path, help="the speech: a sound file, or a video with sound")
    dub.add_argument(
        "-o",
        "--output",
        metavar="OUT.mp4",
        type=Path,
        required=True,
        help="the file to write; its folder is made if needed",
    )
    dub.add_argument(
        "--model",
        type=Path,
        help=f"a trained model.pt, or its export (default: what the variable {MODEL_VARIABLE} names)",
    )
    dub.add_argument(
        "--face",
        metavar="largest|left|right|N|all",
        type=_face,
        default="largest",
        help="whose mouth is redrawn: the largest face (default), the first from the left or right, the Nth from the "
        "left, or everybody's",
    )
    dub.add_argument(
        "--voice",
        metavar="FACE=SOUND",
        type=_voice,
        action="append",
        default=[],
        help="a sound that moves one face's mouth, in place of AUDIO, which is what is heard; once for each face",
    )
    dub.add_argument(
        "--fit",
        choices=FITS,
        default="pingpong",
        help="where VIDEO is shorter than AUDIO: play it back and forth (default), freeze its last frame, or stop with "
        "an error; a longer one is cut",
    )
    dub.add_argument(
        "--reference",
        metavar="first|SECONDS",
        type=_reference,
        default=None,
        help="the frame that shows the network the person: the first one with a face (default), or the one nearest to "
        "this time",
    )
    dub.add_argument(
        "--offset",
        metavar="SECONDS",
        type=_offset,
        default=0.0,
        help="let mouths move this much later than the sound, or earlier where negative (default 0)",
    )
    dub.add_argument(
        "--fade-hidden",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave the mouth as it is where it is hidden, by a hand or in profile, and say where (the default)",
    )
    dub.add_argument(
        "--sharpen",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="sharpen the redrawn part of faces that are larger than the network's pictures, up to the source's own "
        "detail (the default)",
    )
    dub.add_argument(
        "--syncnet",
        metavar="FILE",
        type=Path,
        default=None,
        help="a SyncNet's model.pt: say first by how much VIDEO's own sound comes before or after its picture",
    )
    _add_arithmetic(dub)
    add_credentials(dub)
    dub.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    dub.set_defaults(run=_dub)


def _add_arithmetic(command: argparse.ArgumentParser) -> None:
    """Where and how the network computes."""
    command.add_argument("--device", default="cpu", help="where the network runs: cpu (default), cuda, cuda:1 ...")
    command.add_argument(
        "--batch",
        metavar="FRAMES",
        type=_positive,
        default=None,
        help="frames redrawn at once (default 8 on a processor, else 32)",
    )
    command.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="fp32",
        help="of the network's arithmetic: fp32 (default); bf16 on new processors and GPUs, or fp16 on GPUs, is faster "
        "and looks the same",
    )
    command.add_argument(
        "--compile", action="store_true", help="compile the network first: a minute or more, which long videos win back"
    )


def _add_fit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    fit = commands.add_parser(
        "fit",
        help="fit a model to one person, so that their own face is drawn right",
        description="Trains a model further on clips of one person, with their sound; the end of each clip is held out "
        "to see when to stop. Writes a model that `avcat dub` takes, and beside it a strip of held-out moments, three "
        "rows each: truth, before, after.",
    )
    fit.add_argument("clips", metavar="CLIP", type=Path, nargs="+", help="a video of the person speaking; some seconds")
    fit.add_argument("-o", "--output", metavar="OUT.pt", type=Path, required=True, help="the model file to write")
    fit.add_argument("--model", type=Path, help=f"the model to start from (default: what {MODEL_VARIABLE} names)")
    fit.add_argument(
        "--steps", type=_positive, default=600, help="at most (default 600); it stops where nothing is won"
    )
    fit.add_argument("--device", default="cpu", help="where the network learns: cpu (default), cuda, cuda:1 ...")
    fit.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    fit.set_defaults(run=_fit)


def _reference(text: str) -> float | None:
    if text == "first":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither `first` nor a time in seconds")
    return seconds


def _face(text: str) -> "Which":
    if text in ("largest", "all"):
        return text  # type: ignore[return-value]
    if text in ("left", "right"):
        return 1 if text == "left" else -1
    if text.isdigit() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is none of largest, left, right, all, or a number from 1")


def _voice(text: str) -> "tuple[Which, Path]":
    face, equals, sound = text.partition("=")
    if not equals or not sound:
        raise argparse.ArgumentTypeError(f"{text!r} is not FACE=SOUND")
    return _face(face), Path(sound)


def _offset(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds")
    return seconds


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _dub(arguments: argparse.Namespace) -> None:
    from avcat.media.soundtrack import sound_rate
    from avcat.media.video import probe

    # What takes no time is checked before what does.
    model = model_path(arguments.model, onnx=True)
    probe(arguments.video)
    voices = _voices(arguments.voice)
    for sound in (arguments.audio, *voices.values()):
        sound_rate(sound)
    check_output(arguments.output, (arguments.video, arguments.audio, model, *voices.values()), ".mp4", "an MP4 file")
    check_device(arguments.device)
    credentials = credentials_of(arguments)
    if arguments.precision == "fp16" and arguments.device.startswith("cpu"):
        raise InputError("--precision fp16: is for GPUs; on a processor take bf16 or fp32")

    from avcat.credentials import signing
    from avcat.dubbing import Dubber, DubSettings  # slow to import

    if arguments.syncnet is not None:
        _tell_offset(arguments)
    dubber = Dubber.from_checkpoint(
        model,
        arguments.device,
        batch_frames=arguments.batch,
        precision=arguments.precision,
        compile=arguments.compile,
    )
    started = time.monotonic()
    with signing(arguments.output, credentials) as out, _Bars(quiet=arguments.quiet) as bars:
        summary = dubber.dub(
            arguments.video,
            arguments.audio,
            out,
            DubSettings(
                faces=arguments.face,
                voices=voices,
                fit=arguments.fit,
                reference_s=arguments.reference,
                offset_s=arguments.offset,
                fade_hidden=arguments.fade_hidden,
                sharpen=arguments.sharpen,
            ),
            progress=bars.update,
        )
    for warning in summary.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if summary.hidden_s:
        stretches = ", ".join(f"{start:.2f}-{end:.2f} s" for start, end in summary.hidden_s)
        print(f"warning: a mouth is hidden, and was left as it was, at {stretches}", file=sys.stderr)
    if not arguments.quiet:
        took = time.monotonic() - started
        print(
            f"{arguments.output}: {summary.duration_s:.2f} s, {summary.frames} frames, "
            f"{summary.frames - summary.redrawn} without a face or with a hidden mouth left as they were; "
            f"{took:.1f} s, {summary.frames / took:.1f} frames/s"
        )


def _tell_offset(arguments: argparse.Namespace) -> None:
    from avcat.dubbing.offset import source_offset
    from avcat.face.landmarks import MediaPipeDetector

    found = source_offset(arguments.video, arguments.syncnet, MediaPipeDetector(), arguments.device)
    if not arguments.quiet:
        print(f"{arguments.video}: {found or 'no sound, or too little of a face, to tell its own offset'}")


def _fit(arguments: argparse.Namespace) -> None:
    from avcat.media.soundtrack import sound_rate
    from avcat.media.video import probe

    model = model_path(arguments.model)
    for clip in arguments.clips:
        probe(clip)
        sound_rate(clip)
    check_output(arguments.output, (*arguments.clips, model), ".pt", "a model file")
    check_device(arguments.device)

    from avcat.dubbing.fit import fit  # slow to import
    from avcat.face.landmarks import MediaPipeDetector

    with _Bars(quiet=arguments.quiet) as bars:
        done = fit(
            arguments.clips,
            model,
            arguments.output,
            MediaPipeDetector(),
            steps=arguments.steps,
            device=arguments.device,
            progress=bars.update,
        )
    if not arguments.quiet:
        print(
            f"{arguments.output}: held-out error {done.before:.4f} before, {done.after:.4f} after {done.best_step} "
            f"steps; trained on {done.frames} frames, held out {done.held_out}"
        )


def _voices(given: "list[tuple[Which, Path]]") -> "dict[Which, Path]":
    voices: dict[Which, Path] = {}
    for face, sound in given:
        if face in voices:
            raise InputError(f"--voice: two sounds for one face, {voices[face]} and {sound}")
        voices[face] = sound
    return voices


class _Bars:
    """A progress bar for each thing that is being done, with frames a second."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm | None = None
        self._what = ""

    def __enter__(self) -> "_Bars":
        return self

    def update(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self.__exit__()
            self._bar = tqdm(total=total, desc=what, unit="frame", disable=self._quiet, smoothing=0.1)
            self._what = what
        assert self._bar is not None
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _info(arguments: argparse.Namespace) -> None:
    from avcat.describe import describe

    for name, value in describe(arguments.file).items():
        print(f"{name:<14} {value}")


if __name__ == "__main__":
    sys.exit(main())
