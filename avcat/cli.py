"""The `avcat` command."""

import argparse
import os
import signal
import sys
import tempfile
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from avcat.errors import InputError
from avcat.media.timeline import FITS

MODEL_VARIABLE = "AVCAT_MODEL"

_EXAMPLES = """\
examples:
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --model model.pt
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --fit freeze --reference 2.5
  avcat info model.pt
  avcat info talk.mp4
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0, 2 for bad input, 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, it cleans up as on Ctrl-C
    try:
        arguments.run(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


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
    info = commands.add_parser("info", help="say what a model, video or sound file holds")
    info.add_argument("file", metavar="FILE", type=Path)
    info.set_defaults(run=_info)
    return parser


def _add_dub(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    dub = commands.add_parser(
        "dub",
        help="redraw the mouth in a video so that it says a sound",
        description="Redraws the mouth in VIDEO so that it says AUDIO. The result has the size and frame rate of VIDEO "
        "and the length of AUDIO. Frames without a face stay as they are.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dub.add_argument("video", metavar="VIDEO", type=Path, help="a video of a talking person; its own sound is not used")
    dub.add_argument("audio", metavar="AUDIO", type=Path, help="the speech: a sound file, or a video with sound")
    dub.add_argument("-o", "--output", metavar="OUT.mp4", type=Path, required=True, help="the file to write")
    dub.add_argument(
        "--model", type=Path, help=f"a trained model.pt (default: what the variable {MODEL_VARIABLE} names)"
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
    dub.add_argument("--device", default="cpu", help="where the network runs: cpu (default), cuda, cuda:1 ...")
    dub.add_argument(
        "--batch", metavar="FRAMES", type=_positive, default=32, help="frames redrawn at once (default 32)"
    )
    dub.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    dub.set_defaults(run=_dub)


def _reference(text: str) -> float | None:
    if text == "first":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither `first` nor a time in seconds") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _dub(arguments: argparse.Namespace) -> None:
    from avcat.media.soundtrack import sound_rate
    from avcat.media.video import probe

    # What takes no time is checked before what does.
    model = _model_path(arguments.model)
    probe(arguments.video)
    sound_rate(arguments.audio)
    _check_output(arguments.output, (arguments.video, arguments.audio, model))
    _check_device(arguments.device)

    from avcat.dub import Dubber  # imports torch and mediapipe, which take seconds
    from avcat.face.landmarks import MediaPipeDetector
    from avcat.redraw import Redrawer

    redrawer = Redrawer.from_checkpoint(model, arguments.device, arguments.batch)
    started = time.monotonic()
    with _Bars(quiet=arguments.quiet) as bars:
        summary = Dubber(redrawer, MediaPipeDetector()).dub(
            arguments.video,
            arguments.audio,
            arguments.output,
            fit=arguments.fit,
            reference_s=arguments.reference,
            progress=bars.update,
        )
    if not arguments.quiet:
        took = time.monotonic() - started
        print(
            f"{arguments.output}: {summary.duration_s:.2f} s, {summary.frames} frames, "
            f"{summary.frames - summary.redrawn} without a face left as they were; "
            f"{took:.1f} s, {summary.frames / took:.1f} frames/s"
        )


def _model_path(given: Path | None) -> Path:
    path = given or (Path(os.environ[MODEL_VARIABLE]) if os.environ.get(MODEL_VARIABLE) else None)
    if path is None:
        raise InputError(
            f"no model: give --model or set {MODEL_VARIABLE} (`make demo` trains one: out/demo/train/full/model.pt)"
        )
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None
    if not zipfile.is_zipfile(path):  # which is what torch.save writes
        raise InputError(f"{path}: not a model file")
    return path


def _check_output(path: Path, inputs: tuple[Path, ...]) -> None:
    """Finds out, without leaving a trace, whether `path` can be written."""
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: the output is an MP4 file, so its name must end in .mp4")
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder")
        if any(path.exists() and path.samefile(other) for other in inputs):
            raise InputError(f"{path}: is one of the inputs")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def _check_device(name: str) -> None:
    import torch

    try:
        torch.zeros(1, device=name).item()  # `meta` makes tensors that cannot be read
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"--device {name}: not usable here ({str(error).splitlines()[0]})") from None


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
