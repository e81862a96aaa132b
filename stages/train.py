"""`python -m stages.train --method M`: trains AV-CAT, one of its ablations, or one of the paper's peers."""

import argparse
import dataclasses
import sys

from avcat.config import BaselinesConfig
from avcat.errors import InputError
from pipelines.resources import with_device
from pipelines.train import Method, train_method
from pipelines.workers import train_on_workers
from stages._main import run_stage
from stages._mlflow import tracked
from stages._params import Params, load, trained_methods
from stages._training import conclude, loggers

BASELINES = [field.name for field in dataclasses.fields(BaselinesConfig)]


def settings(method: str) -> tuple[Params, Method]:
    """All settings in force, and among them the method's own. Raises InputError if it is unknown."""
    if method not in trained_methods():
        raise InputError(f"--method {method}: unknown row, there are {', '.join(trained_methods())}")
    if method in BASELINES:
        params = load()
        return params, getattr(params.baselines, method)
    params = load(variant=method)
    return params, params.train


def train(method: str, params: Params, config: Method, name: str, folder: str) -> None:
    """Reads shards and SyncNet, writes `out/<profile>/<folder>/`; a run called `name` keeps the curves."""
    shards, syncnet, offsets = (params.out / name for name in ("shards", "syncnet/model.pt", "offsets.parquet"))
    with tracked(f"train-{name}", {"method": method, "train": config}, [shards, syncnet, offsets]) as run:
        with loggers(run, f"train {name}", config.optimiser.steps) as where:
            metrics = train_on_workers(
                train_method,
                config,
                params.inputs,
                syncnet=syncnet,
                shards=shards,
                offsets=offsets,
                out=params.out / folder,
                state=params.state / folder,
                runtime=with_device(params.runtime),
                loggers=where,
            )
        conclude(run, metrics, params.out / folder / "model.pt", name, params, config)


def work(method: str) -> None:
    """Trains one row of the tables into `out/<profile>/train/<method>/`."""
    params, config = settings(method)
    train(method, params, config, method, f"train/{method}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="full", help="a variant of params.yaml, or " + ", ".join(BASELINES))
    arguments = parser.parse_args()
    return run_stage(lambda: work(arguments.method))


if __name__ == "__main__":
    sys.exit(main())
