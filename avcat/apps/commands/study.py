"""`avcat study build | serve | table`."""

import argparse
import logging
import re
from functools import partial
from pathlib import Path

from avcat.apps.checks import check_device
from avcat.apps.commands.options import LOOPBACK, Bars, Commands, add_device, add_quiet, port, positive
from avcat.errors import InputError

_EXAMPLES = """\
examples:
  avcat study build out/tiny -o out/tiny/study --method full=out/tiny/train/full/model.pt \\
      --method wav2lip=out/tiny/train/wav2lip/model.pt
  avcat study serve out/tiny/study --contact "Ann <ann@example.org>"
  avcat study table out/tiny/study
"""
_NAME = re.compile(r"[\w.+-]+")


def add(commands: Commands) -> None:
    """Adds the command."""
    study = commands.add_parser(
        "study",
        help="let people rate the results of several models",
        description="A user study as in the paper's Table 2: renders test clips by several models, lets people rate "
        "them in a web page without knowing which model made which, and averages the ratings.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = study.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_build(parts)
    serve = parts.add_parser(
        "serve",
        help="show the clips in a web page and take ratings, until Ctrl-C",
        description="Shows each rater the clips of DIR in their own order and saves the ratings in DIR's SQLite file, "
        "until Ctrl-C. A rater who closes the page can continue later.",
    )
    serve.add_argument("folder", metavar="DIR", type=Path, help="what `build` wrote")
    serve.add_argument("--host", default=LOOPBACK, help=f"address to listen at (default {LOOPBACK}: this machine)")
    serve.add_argument("--port", type=port, default=8000, help="default 8000; 0 takes a free one")
    serve.add_argument(
        "--contact", default="", help="whom raters may write to, shown in the consent notice and at the end"
    )
    serve.set_defaults(run=_serve)
    table = parts.add_parser(
        "table",
        help="average the ratings: Markdown, CSV and LaTeX, written into DIR",
        description="Averages the ratings, with 95 % intervals and the agreement of raters, and writes the table into "
        "DIR as Markdown, CSV and LaTeX.",
    )
    table.add_argument("folder", metavar="DIR", type=Path, help="what `build` wrote")
    table.set_defaults(run=_table)


def _add_build(parts: Commands) -> None:
    build = parts.add_parser(
        "build",
        help="render the clips",
        description="Picks test clips, gives each the sound of another person's test clip of the same corpus, and "
        "renders every pair by every model. If interrupted, it continues where it stopped.",
    )
    build.add_argument(
        "root", metavar="OUTROOT", type=Path, help="a profile's output, such as out/tiny: manifest and test shards"
    )
    build.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="the study's folder")
    build.add_argument(
        "--method",
        metavar="NAME=model.pt",
        type=_method,
        action="append",
        required=True,
        help="a model, and the name of its row in the table; once per model",
    )
    build.add_argument(
        "--clips",
        metavar="N",
        type=positive,
        default=20,
        help="pairs of each corpus (default 20); all if there are fewer",
    )
    build.add_argument("--seed", type=int, default=0, help="of the choice of clips (default 0)")
    build.add_argument(
        "--no-truth",
        action="store_true",
        help="leave out the ground truth: the clip that each sound comes from, unchanged",
    )
    add_device(build, "the networks run")
    add_quiet(build)
    build.set_defaults(run=_build)


def _method(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not path or not _NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=model.pt, with a name of letters, digits and . _ + -")
    return name, Path(path)


def _build(arguments: argparse.Namespace) -> None:
    from avcat.metrics.results import GROUND_TRUTH
    from avcat.study.plan import read_study

    models = dict(arguments.method)
    if len(models) < len(arguments.method):
        raise InputError("--method: two models of the same name")
    if GROUND_TRUTH in models:
        raise InputError(f"--method {GROUND_TRUTH}: the name is reserved for the ground truth")
    check_device(arguments.device)

    from avcat.study.build import build_study  # slow to import

    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    with Bars(quiet=arguments.quiet) as bars:
        build_study(
            arguments.root,
            arguments.output,
            models,
            clips_per_corpus=arguments.clips,
            seed=arguments.seed,
            truth=not arguments.no_truth,
            device=arguments.device,
            progress=partial(bars.update, "render"),
        )
    if not arguments.quiet:
        study = read_study(arguments.output)
        pairs = len(study.clips) // len(study.methods)
        print(
            f"{arguments.output}: {pairs} pairs by {len(study.methods)} methods, {len(study.clips)} clips; "
            f"{len(study.left_out)} pairs left out. Next: avcat study serve {arguments.output}"
        )


def _serve(arguments: argparse.Namespace) -> None:
    try:
        from avcat.apps.study_server import serve
    except ImportError as error:
        raise InputError(f"`avcat study serve` needs `pip install 'avcat[study]'` ({error})") from error

    def ready(address: str) -> None:
        print(f"{arguments.folder}: rate at {address} (Ctrl-C ends it; ratings are kept)", flush=True)

    serve(arguments.folder, arguments.host, arguments.port, arguments.contact, ready)


def _table(arguments: argparse.Namespace) -> None:
    from avcat.report.table import to_markdown
    from avcat.study.table import write_tables

    print("\n".join(map(to_markdown, write_tables(arguments.folder))), end="")
