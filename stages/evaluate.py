"""`python -m stages.evaluate --method M --corpus C`: one method's figures on one corpus."""

import argparse
import sys

from avcat.metrics.methods import COPY_REFERENCE, GROUND_TRUTH
from pipelines.cluster import connect
from pipelines.evaluate import check_models, evaluate
from stages._main import bar, run_stage
from stages._params import load
from stages._track import tracked


def work(method: str, corpus: str) -> None:
    """Reads the test shards and the models, writes `out/<profile>/evaluate/<method>/<corpus>/`."""
    params = load()
    checkpoint = None if method in (GROUND_TRUTH, COPY_REFERENCE) else params.out / "train" / method / "model.pt"
    evaluator = params.out / "evaluator" / "model.pt"
    reads = [params.out / "shards", evaluator, *([checkpoint] if checkpoint else [])]
    settings = {"method": method, "corpus": corpus, "evaluate": params.evaluate}
    check_models(method, checkpoint, evaluator)
    with tracked(f"evaluate-{method}-{corpus}", settings, reads) as run:
        with connect(params.runtime), bar(f"evaluate {method} on {corpus}") as progress:
            evaluation = evaluate(
                method,
                corpus,
                shards=params.out / "shards" / "test",
                checkpoint=checkpoint,
                evaluator=evaluator,
                config=params.evaluate,
                max_failed_fraction=params.data.max_failed_fraction,
                runtime=params.runtime,
                progress=progress,
            )
        evaluation.write(params.out / "evaluate" / method / corpus)
        for clip_id, strip in evaluation.pictures().items():
            run.log_image(f"strip-{clip_id}", 0, strip)
        run.summarise(evaluation.means())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="ground-truth, copy-reference or a variant of params.yaml")
    parser.add_argument("--corpus", required=True, help="a corpus of params.yaml")
    arguments = parser.parse_args()
    return run_stage(lambda: work(arguments.method, arguments.corpus))


if __name__ == "__main__":
    sys.exit(main())
