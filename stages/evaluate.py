"""`python -m stages.evaluate --row R`: the figures of one row, on each corpus of the test shards.

`python -m stages.evaluate --predictions DIR --name NAME`: those of videos that any program made of the test clips.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from avcat.data.shards import open_shards
from avcat.errors import InputError
from avcat.files import write
from avcat.metrics.figures import MAIN
from avcat.metrics.results import BOUNDS, GROUND_TRUTH
from pipelines.cluster import connect
from pipelines.evaluate import check_models, check_weights, evaluate
from stages._main import bar, run_stage
from stages._mlflow import tracked
from stages._params import Params, load


def work(row: str, corpus: str | None = None, predictions: Path | None = None) -> None:
    """Reads the test shards and the models, writes `out/<profile>/evaluate/<row>/<corpus>/` for one corpus or all.

    The main means are in `out/<profile>/figures/<row>.json`, which DVC compares.
    """
    params = load()
    checkpoint = None if predictions or row in BOUNDS else params.out / "train" / row / "model.pt"
    means = {
        each: score(row, each, params, checkpoint, row, f"evaluate/{row}/{each}", predictions)
        for each in ([corpus] if corpus else corpora(params))
    }
    if not corpus:
        short = {each: {name: of_all[name] for name in MAIN if name in of_all} for each, of_all in means.items()}
        write(params.out / "figures" / f"{row}.json", json.dumps(short, indent=1) + "\n")


def corpora(params: Params) -> list[str]:
    """Those that the test shards have, sorted."""
    shards = open_shards(params.out / "shards" / "test")
    return sorted({corpus for shard in shards for corpus in shard.clips["corpus"].to_pylist()})


def score(
    method: str,
    corpus: str,
    params: Params,
    checkpoint: Path | None,
    name: str,
    folder: str,
    predictions: Path | None = None,
) -> Mapping[str, float]:
    """Writes the figures of one model, or of none, to `out/<profile>/<folder>/`, and returns their means.

    An MLflow run `name` has them, too.
    """
    evaluator = params.out / "evaluator" / "model.pt"
    reads = [params.out / "shards", evaluator, *([checkpoint] if checkpoint else [])]
    settings = {"method": method, "corpus": corpus, "evaluate": params.evaluate}
    check_models(GROUND_TRUTH if checkpoint is None else method, checkpoint, evaluator)
    check_weights(params.evaluate)
    with tracked(f"evaluate-{name}-{corpus}", settings, reads) as run:
        with connect(params.runtime), bar(f"evaluate {name} on {corpus}", "frame") as progress:
            evaluation = evaluate(
                method,
                corpus,
                shards=params.out / "shards" / "test",
                checkpoint=checkpoint,
                evaluator=evaluator,
                config=params.evaluate,
                max_failed_fraction=params.data.max_failed_fraction,
                runtime=params.runtime,
                manifest=params.out / "manifest.parquet",
                predictions=predictions,
                marks=params.state / "evaluate",
                progress=progress,
            )
        evaluation.write(params.out / folder)
        for clip_id, strip in evaluation.pictures().items():
            run.log_image(f"strip-{clip_id}", 0, strip)
        means = evaluation.means()
        run.summarise(means)
    return means


def check_name(name: str) -> None:
    """Raises InputError if a row cannot have this name: it names a folder, and built-in names are reserved."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"--name {name!r}: letters, digits, '.', '_' and '-' only, as it names a folder")
    if name in (*BOUNDS, *load().rows):
        raise InputError(f"--name {name}: the name is reserved for a row of params.yaml, or a bound")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--row", help="a row of params.yaml, ground-truth or copy-reference")
    what.add_argument(
        "--predictions", type=Path, help="a folder of videos of the test clips, named by clip id or like their sources"
    )
    parser.add_argument("--name", help="of the row that the predictions become (default: the folder's name)")
    parser.add_argument("--corpus", help="only this one (default: all of the test shards)")
    arguments = parser.parse_args()
    if arguments.name and not arguments.predictions:
        parser.error("--name is for --predictions")
    return run_stage(lambda: _work(arguments))


def _work(arguments: argparse.Namespace) -> None:
    if not arguments.predictions:
        return work(arguments.row, arguments.corpus)
    folder = arguments.predictions.absolute()
    check_name(name := arguments.name or folder.name)
    return work(name, arguments.corpus, folder)


if __name__ == "__main__":
    sys.exit(main())
