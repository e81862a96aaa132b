"""`python -m stages.evaluator`: trains a second SyncNet, of another seed, that only measures."""

from stages._main import main
from stages._params import load
from stages.syncnet import train


def work() -> None:
    """Writes `out/<profile>/evaluator/`."""
    params = load()
    train("evaluator", params.evaluator, params)


if __name__ == "__main__":
    main(work, __doc__)
