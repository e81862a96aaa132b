"""`python -m stages.train --row R`: trains AV-CAT, one of its ablations, or one of the paper's peers."""

import argparse
import sys

from pipelines.resources import with_device
from pipelines.train import train_method
from pipelines.workers import train_on_workers
from stages._main import run_stage
from stages._mlflow import Untracked, tracked
from stages._params import Params, Row, load
from stages._registry import register
from stages._training import loggers


def train(row: Row, params: Params, name: str, folder: str) -> None:
    """Reads shards and, except for a SyncNet, the SyncNet and offsets of the clips; writes `out/<profile>/<folder>/`.

    A run called `name` keeps the curves.
    """
    shards, config, first = params.out / "shards", row.training, row.method == "syncnet"
    syncnet, offsets = (None if first else params.out / path for path in ("syncnet/model.pt", "offsets.parquet"))
    title, settings = (name, {name: config}) if first else (f"train {name}", {"method": row.method, "train": config})
    with tracked(title.replace(" ", "-"), settings, filter(None, (shards, syncnet, offsets))) as run:
        with loggers(run, title, config.optimiser.steps) as where:
            metrics = train_on_workers(
                train_method,
                row.method,
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
        run.summarise(metrics)
        if not isinstance(run, Untracked):  # under torchrun only the first process registers its model
            register(params.out / folder / "model.pt", name, params, config)


def work(name: str) -> None:
    """Trains one row of the tables into `out/<profile>/train/<row>/`."""
    params = load()
    train(params.row(name), params, name, f"train/{name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", default="full", help="one of the rows of params.yaml (default: %(default)s)")
    arguments = parser.parse_args()
    return run_stage(lambda: work(arguments.row))


if __name__ == "__main__":
    sys.exit(main())
