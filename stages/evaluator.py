"""`python -m stages.evaluator`: trains a second SyncNet, of another seed, that only measures."""

from stages._main import main
from stages._params import Row, load
from stages.train import train


def work() -> None:
    """Writes `out/<profile>/evaluator/`."""
    params = load()
    train(Row("syncnet", params.evaluator), params, "evaluator", "evaluator")


if __name__ == "__main__":
    main(work, __doc__)
