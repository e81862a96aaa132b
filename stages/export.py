"""`python -m stages.export --model NAME --version N -o model.pt`: a registered model as the file `avcat dub` takes."""

import argparse
import sys
from pathlib import Path

from avcat.errors import InputError
from stages._main import run_stage
from stages._mlflow import use_store
from stages._registry import export


def work(name: str, version: str | None, out: Path) -> None:
    """Writes `out`; prints what it holds."""
    if out.suffix != ".pt":
        raise InputError(f"{out}: a model file's name ends in .pt")
    if out.is_dir():
        raise InputError(f"{out}: is a folder")
    use_store()
    file = export(name, version, out)
    print(f"{out}: a model of kind {file.kind}, {file.facts.get('steps', '?')} steps")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="avcat-<profile>-<row>, as a training prints")
    parser.add_argument("--version", metavar="N", help="1, 2, ... (default: the newest)")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.pt", type=Path, help="the file to write")
    arguments = parser.parse_args()
    out = arguments.output.absolute()  # before we go to the project's root
    return run_stage(lambda: work(arguments.model, arguments.version, out))


if __name__ == "__main__":
    sys.exit(main())
