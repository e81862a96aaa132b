"""`python -m stages.evaluate --method M --corpus C`: one method's figures on one corpus.

`python -m stages.evaluate --predictions DIR --name NAME`: those of videos that any program made of the test clips.
"""

import argparse
import re
import sys
from pathlib import Path

from avcat.data.shards import open_shards
from avcat.errors import InputError
from avcat.metrics.methods import COPY_REFERENCE, GROUND_TRUTH
from pipelines.cluster import connect
from pipelines.evaluate import check_models, check_weights, evaluate
from stages._main import bar, run_stage
from stages._mlflow import tracked
from stages._params import Params, load, trained_methods


def work(method: str, corpus: str, predictions: Path | None = None) -> None:
    """Reads the test shards and the models, writes `out/<profile>/evaluate/<method>/<corpus>/`."""
    params = load()
    free = predictions is not None or method in (GROUND_TRUTH, COPY_REFERENCE)
    checkpoint = None if free else params.out / "train" / method / "model.pt"
    score(method, corpus, params, checkpoint, method, f"evaluate/{method}/{corpus}", predictions)


def score(
    method: str,
    corpus: str,
    params: Params,
    checkpoint: Path | None,
    name: str,
    folder: str,
    predictions: Path | None = None,
) -> None:
    """Writes the figures of one model, or of none, to `out/<profile>/<folder>/`; an MLflow run `name` has them too."""
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
        run.summarise(evaluation.means())


def work_on_predictions(folder: Path, name: str, corpus: str | None) -> None:
    """Scores a folder of videos on one corpus, or on all that the test shards have."""
    params = load()
    check_name(name)
    there = {row for shard in open_shards(params.out / "shards" / "test") for row in shard.clips["corpus"].to_pylist()}
    for each in [corpus] if corpus else sorted(there):
        work(name, each, folder)


def check_name(name: str) -> None:
    """Raises InputError if a row cannot have this name: it names a folder, and built-in names are reserved."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"--name {name!r}: letters, digits, '.', '_' and '-' only, as it names a folder")
    if name in (GROUND_TRUTH, COPY_REFERENCE, *trained_methods()):
        raise InputError(f"--name {name}: the name is reserved for a built-in method")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--method", help="ground-truth, copy-reference, or a variant or baseline of params.yaml")
    what.add_argument(
        "--predictions", type=Path, help="a folder of videos of the test clips, named by clip id or like their sources"
    )
    parser.add_argument("--name", help="of the row that the predictions become (default: the folder's name)")
    parser.add_argument("--corpus", help="a corpus of params.yaml (with --predictions, default: all)")
    arguments = parser.parse_args()
    if arguments.predictions:
        folder = arguments.predictions.absolute()
        name = arguments.name or folder.name
        return run_stage(lambda: work_on_predictions(folder, name, arguments.corpus))
    if arguments.name or not arguments.corpus:
        parser.error("--method needs --corpus, and no --name")
    return run_stage(lambda: work(arguments.method, arguments.corpus))


if __name__ == "__main__":
    sys.exit(main())
