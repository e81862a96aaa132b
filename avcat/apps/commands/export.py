"""`avcat export`: writes a model as ONNX."""

import argparse
from pathlib import Path

from avcat.apps.checks import check_output, model_path
from avcat.apps.commands.options import Commands, add_quiet


def add(commands: Commands) -> None:
    """Adds the command."""
    export = commands.add_parser(
        "export",
        help="write a model as ONNX, for ONNX Runtime",
        description="Writes MODEL as an ONNX file that `avcat dub --model` takes, after comparing its pictures with "
        "torch's. Needs the extra: pip install 'avcat[onnx]'.",
    )
    export.add_argument("model", metavar="MODEL.pt", type=Path, help="a trained model that redraws frame by frame")
    export.add_argument("-o", "--output", metavar="MODEL.onnx", type=Path, required=True, help="the file to write")
    add_quiet(export)
    export.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    model = model_path(arguments.model)
    check_output(arguments.output, (model,), "an ONNX file", ".onnx")

    from avcat.inference.export import export  # slow to import

    done = export(model, arguments.output)
    if not arguments.quiet:
        print(f"{arguments.output}: differs from torch by {done.difference:.1e} at most, of pictures in -1..1")
