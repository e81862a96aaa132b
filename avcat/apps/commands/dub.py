"""`avcat dub`: redraws the mouth in a video so that it says a sound."""

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from avcat.apps.checks import check_device, check_output, model_path
from avcat.apps.commands.options import (
    Bars,
    Commands,
    add_credentials,
    add_device,
    add_model,
    add_quiet,
    credentials_of,
    positive,
)
from avcat.errors import InputError
from avcat.inference import ONNX_SUFFIX
from avcat.media.timeline import FITS, LENGTHS

if TYPE_CHECKING:
    from avcat.apps.credentials import Credentials
    from avcat.dubbing.dubber import DubSummary
    from avcat.dubbing.plan import DubSettings, ReferenceFrame
    from avcat.dubbing.portrait import Which

EXAMPLES = """\
examples:
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --model model.pt
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --fit freeze --reference 2.5
  avcat dub duo.mp4 both.wav -o dubbed.mp4 --voice left=anna.wav --voice right=ben.wav
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --mix -12 --length video
  avcat dub talk.mp4 speech.wav -o dubbed.mp4 --credentials cert.pem --key key.pem
"""
SIGNED = (".mp4", ".mov")  # formats with a place for content credentials
_MOST_DB = 60
_MAX_OFFSET_S = 60  # more is a typing error


def add(commands: Commands) -> None:
    """Adds the command."""
    dub = commands.add_parser(
        "dub",
        help="redraw the mouth in a video so that it says a sound",
        description="Redraws the mouth in VIDEO so that it says AUDIO. The result has the size and frame rate of VIDEO "
        "and the length of AUDIO. Frames without a face stay as they are. After a cut, faces are chosen anew.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dub.add_argument("video", metavar="VIDEO", type=Path, help="a video of a talking person; its own sound is not used")
    dub.add_argument("audio", metavar="AUDIO", type=Path, help="the speech: a sound file, or a video with sound")
    dub.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        required=True,
        help="the file to write, by its suffix MP4, QuickTime (.mov) or Matroska (.mkv); its folder is made if needed",
    )
    add_model(dub, "a trained model.pt, or its export")
    _add_faces(dub)
    _add_time(dub)
    _add_look(dub)
    _add_arithmetic(dub)
    add_credentials(dub)
    add_quiet(dub)
    dub.set_defaults(run=_run)


def _add_faces(dub: argparse.ArgumentParser) -> None:
    """Options for faces and their voices."""
    dub.add_argument(
        "--face",
        metavar="largest|speaker|left|right|N|all",
        type=_face,
        help="which face is redrawn, shot by shot: the largest (default), the one that speaks in VIDEO (by --syncnet), "
        "the first from the left or right, the Nth from the left, or all (four at most)",
    )
    dub.add_argument(
        "--voice",
        metavar="FACE=SOUND",
        type=_voice,
        action="append",
        default=[],
        help="a sound that moves one face's mouth, in place of AUDIO, which is still what is heard; once per face",
    )
    dub.add_argument(
        "--keep-faces",
        metavar="FILE",
        type=Path,
        help="keep what the first pass finds in FILE; if FILE is there, of the same VIDEO, take the faces from it",
    )
    dub.add_argument(
        "--reference",
        metavar="usual|first|SECONDS|same",
        type=_reference,
        default="usual",
        help="the frame that shows the network the person: the one with the most usual mouth (default), the first with "
        "a face, the one nearest to this time, or each frame itself, which keeps more of the picture but lets the old "
        "mouth show through",
    )


def _add_time(dub: argparse.ArgumentParser) -> None:
    """Options for the timing of picture and sound."""
    dub.add_argument(
        "--fit",
        choices=FITS,
        default="pingpong",
        help="if VIDEO is shorter than AUDIO: play it back and forth (default), freeze its last frame, or stop with "
        "an error; a longer one is cut",
    )
    dub.add_argument(
        "--length",
        choices=LENGTHS,
        default="sound",
        help="as long as AUDIO (default), or as VIDEO, whose frames stay as they are after the end of AUDIO",
    )
    dub.add_argument(
        "--mix",
        metavar="DB[=TRACK]",
        type=_mix,
        help="keep VIDEO's own sound, or a track, under AUDIO, at this level: -12 is a quarter as loud, 0 as it is",
    )
    dub.add_argument(
        "--offset",
        metavar="SECONDS",
        type=_offset,
        default=0.0,
        help="let mouths move this much later than the sound, or earlier if negative (default 0)",
    )
    dub.add_argument(
        "--syncnet",
        metavar="FILE",
        type=Path,
        default=None,
        help="a SyncNet's model.pt: first print by how much VIDEO's own sound comes before or after its picture; "
        "with --face speaker: by it the speaker is found",
    )


def _add_look(dub: argparse.ArgumentParser) -> None:
    """Options for the picture other than redrawing."""
    dub.add_argument(
        "--fade-hidden",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave the mouth unchanged while it is hidden, by a hand or in profile, and report when (the default)",
    )
    dub.add_argument(
        "--sharpen",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="sharpen the redrawn part of faces that are larger than the network's pictures, up to the source's detail "
        "(the default)",
    )


def _add_arithmetic(dub: argparse.ArgumentParser) -> None:
    """Options for the network's device and arithmetic."""
    add_device(dub)
    dub.add_argument(
        "--batch",
        metavar="FRAMES",
        type=positive,
        default=None,
        help="frames redrawn at once (default 8 on a processor, else 32)",
    )
    dub.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="of the network's arithmetic: by default bf16 if the device has instructions for it, which looks the "
        "same, else fp32; fp16 on GPUs",
    )
    dub.add_argument(
        "--compile", action="store_true", help="compile the network first: a minute or more, worth it for long videos"
    )


def _reference(text: str) -> "ReferenceFrame":
    if text in ("usual", "first", "same"):
        return text  # type: ignore[return-value]
    seconds = _number(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is none of usual, first, same, or a time in seconds")
    return seconds


def _number(text: str) -> float:
    """NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _face(text: str) -> "Which":
    if text in ("largest", "speaker", "all"):
        return text  # type: ignore[return-value]
    if text in ("left", "right"):
        return 1 if text == "left" else -1
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is none of largest, speaker, left, right, all, or a number from 1")


def _voice(text: str) -> "tuple[Which, Path]":
    face, equals, sound = text.partition("=")
    if not equals or not sound:
        raise argparse.ArgumentTypeError(f"{text!r} is not FACE=SOUND")
    return _face(face), Path(sound)


def _mix(text: str) -> "tuple[float, Path | None]":
    level, equals, track = text.partition("=")
    level_db = _number(level)
    if not -_MOST_DB <= level_db <= _MOST_DB or (equals and not track):  # also false for NaN
        raise argparse.ArgumentTypeError(f"{text!r} is no level in dB, from -{_MOST_DB} to {_MOST_DB}, or DB=TRACK")
    return level_db, Path(track) if track else None


def _offset(text: str) -> float:
    seconds = _number(text)
    if not -_MAX_OFFSET_S <= seconds <= _MAX_OFFSET_S:  # also true for NaN
        raise argparse.ArgumentTypeError(f"{text!r} is not a time of {_MAX_OFFSET_S} seconds at most")
    return seconds


def _run(arguments: argparse.Namespace) -> None:
    model, settings, credentials = _checked(arguments)

    from avcat.apps.credentials import signing
    from avcat.dubbing import Dubber  # slow to import
    from avcat.nn.precision import resolved

    if arguments.syncnet is not None and not arguments.quiet:
        _tell_offset(arguments)
    dubber = Dubber.from_checkpoint(
        model,
        arguments.device,
        batch_frames=arguments.batch,
        precision=arguments.precision,
        compile=arguments.compile,
    )
    started = time.monotonic()
    with signing(arguments.output, credentials) as out, Bars(quiet=arguments.quiet) as bars:
        summary = dubber.dub(arguments.video, arguments.audio, out, settings, progress=bars.update)
    took_s = time.monotonic() - started
    precision = "fp32" if model.suffix == ONNX_SUFFIX else resolved(arguments.precision, arguments.device)
    _tell(summary, arguments, took_s, precision)


def _checked(arguments: argparse.Namespace) -> "tuple[Path, DubSettings, Credentials | None]":
    """The model, how to dub, and what signs it. Raises InputError for what can be found out before the work."""
    from avcat.dubbing.plan import DubSettings, Mix
    from avcat.media.soundtrack import sound_rate
    from avcat.media.video import probe

    model = model_path(arguments.model, onnx=True)
    probe(arguments.video)
    voices = _voices(arguments.voice)
    for sound in (arguments.audio, *voices.values()):
        sound_rate(sound)
    mix = Mix(*arguments.mix) if arguments.mix else None
    if mix:
        sound_rate(mix.track or arguments.video)
    _check_outputs(arguments, (arguments.video, arguments.audio, model, *voices.values()))
    check_device(arguments.device)
    credentials = credentials_of(arguments)
    if credentials and arguments.output.suffix.lower() not in SIGNED:
        raise InputError(f"--credentials: only {' and '.join(SIGNED)} can be signed, not {arguments.output}")
    _check_pairs(arguments, model)
    settings = DubSettings(
        faces=arguments.face or "largest",
        voices=voices,
        fit=arguments.fit,
        length=arguments.length,
        mix=mix,
        syncnet=arguments.syncnet,
        kept_faces=arguments.keep_faces,
        reference=arguments.reference,
        offset_s=arguments.offset,
        fade_hidden=arguments.fade_hidden,
        sharpen=arguments.sharpen,
    )
    return model, settings, credentials


def _check_outputs(arguments: argparse.Namespace, inputs: tuple[Path, ...]) -> None:
    from avcat.media.container import file_of
    from avcat.media.writer import FORMATS

    files = tuple(map(file_of, inputs))
    check_output(arguments.output, files, "a video", *FORMATS)
    if arguments.keep_faces is not None:
        check_output(arguments.keep_faces, files, "an archive of faces", ".npz")


def _check_pairs(arguments: argparse.Namespace, model: Path) -> None:
    """Raises InputError for options that do not go together."""
    if arguments.voice and arguments.face is not None:
        raise InputError("--face: not allowed with --voice, which names the faces; give one or the other")
    if arguments.face == "speaker" and arguments.syncnet is None:
        raise InputError("--face speaker: give a SyncNet by --syncnet, which hears who speaks")
    if arguments.syncnet is not None and arguments.quiet and arguments.face != "speaker":
        raise InputError("--syncnet: prints what --quiet suppresses; give one or the other")
    if arguments.precision == "fp16" and arguments.device.startswith("cpu"):
        raise InputError("--precision fp16: is for GPUs; on a processor take bf16 or fp32")
    if arguments.reference == "same" and model.suffix == ONNX_SUFFIX:
        raise InputError(f"--reference same: {model} takes one reference per clip, as ONNX models do")


def _voices(given: "list[tuple[Which, Path]]") -> "dict[Which, Path]":
    voices: dict[Which, Path] = {}
    for face, sound in given:
        if face in voices:
            raise InputError(f"--voice: two sounds for one face, {voices[face]} and {sound}")
        voices[face] = sound
    return voices


def _tell_offset(arguments: argparse.Namespace) -> None:
    from avcat.dubbing.offset import source_offset
    from avcat.face.landmarks import MediaPipeDetector

    found = source_offset(arguments.video, arguments.syncnet, MediaPipeDetector(), arguments.device)
    print(f"{arguments.video}: {found or 'too little sound or face to measure its own offset'}")


def _tell(summary: "DubSummary", arguments: argparse.Namespace, took_s: float, precision: str) -> None:
    for warning in summary.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not arguments.quiet:
        speed = f"{took_s:.1f} s, {summary.frames / took_s:.1f} frames/s in {precision}"
        print(f"{arguments.output}: {summary.line}; {speed}")
