"""`python -m stages.syncnet`: trains the SyncNet of the loss, and judges it on people it has never seen."""

import argparse
import sys

from avcat.config import SyncNetTraining
from pipelines.resources import with_device
from pipelines.train import train_syncnet
from stages._main import run_stage
from stages._params import Params, load
from stages._track import tracked
from stages._training import loggers


def train(name: str, config: SyncNetTraining, params: Params) -> None:
    """Reads the shards, writes `out/<profile>/<name>/model.pt`, `metrics.json` and `curves.csv`."""
    shards = params.out / "shards"
    with tracked(name, {name: config}, [shards]) as run:
        with loggers(run, name, config.optimiser.steps) as where:
            metrics = train_syncnet(
                config,
                params.inputs,
                shards=shards,
                out=params.out / name,
                state=params.state / name,
                runtime=with_device(params.runtime),
                loggers=where,
            )
        run.summarise(metrics)


def work() -> None:
    params = load()
    train("syncnet", params.syncnet, params)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    return run_stage(work)


if __name__ == "__main__":
    sys.exit(main())
