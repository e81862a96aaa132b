"""`avcat info`: prints what a file holds."""

import argparse
from pathlib import Path

from avcat.apps.commands.options import Commands


def add(commands: Commands) -> None:
    """Adds the command."""
    info = commands.add_parser(
        "info",
        help="print what a model, video or sound file holds",
        description="Prints what FILE is and holds: for a model its settings and how it was trained, for a video or a "
        "sound its streams.",
    )
    info.add_argument("file", metavar="FILE", type=Path, help="a model.pt, its export, a video or a sound")
    info.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from avcat.apps.describe import describe

    facts = describe(arguments.file)
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
