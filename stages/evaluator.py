"""`python -m stages.evaluator`: trains a second SyncNet, of another seed, that only measures."""

import argparse
import sys

from stages._main import run_stage
from stages._params import load
from stages.syncnet import train


def work() -> None:
    """Writes `out/<profile>/evaluator/`."""
    params = load()
    train("evaluator", params.evaluator, params)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    return run_stage(work)


if __name__ == "__main__":
    sys.exit(main())
