"""`avcat verify`: reports whether a video carries the mark that dubbing leaves in redrawn mouths."""

import argparse
from pathlib import Path

from avcat.apps.commands.options import Bars, Commands, add_quiet


def add(commands: Commands) -> None:
    """Adds the command. It returns 0 for a marked file and 1 for one that is not; errors are raised."""
    verify = commands.add_parser(
        "verify",
        help="report whether a video carries the mark of a dubbed face",
        description="Looks in every face of FILE for the invisible mark that `avcat dub` leaves, and reports the "
        "chance of a false alarm; with --quiet only by its exit code. That is 0: marked; 1: not marked, or no longer "
        "detectable; 2: an error, or no face found.",
    )
    verify.add_argument("file", metavar="FILE", type=Path, help="a video")
    add_quiet(verify)
    verify.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from avcat.dubbing.watermark import verify  # slow to import
    from avcat.face.landmarks import MediaPipeDetector

    with Bars(quiet=arguments.quiet) as bars:
        verdict = verify(arguments.file, MediaPipeDetector(max_faces=4), bars.update)
    if arguments.quiet:
        return 0 if verdict.marked else 1
    faces = "1 face" if verdict.faces == 1 else f"{verdict.faces} faces"
    if verdict.marked:
        start, end = verdict.at_s
        print(
            f"{arguments.file}: marked: dubbed by avcat, as a face shows from {start:.1f} to {end:.1f} s "
            f"({faces} looked at; chance of a false alarm {verdict.false_alarm:.0e} at most)"
        )
        return 0
    chance = f"chance of as much without a mark {verdict.false_alarm:.2g}"
    print(f"{arguments.file}: no mark found ({faces} looked at; {chance})")
    return 1
