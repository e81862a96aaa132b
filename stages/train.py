"""`python -m stages.train --variant V`: trains AV-CAT, or one of its ablations."""

import argparse
import sys

from pipelines.resources import with_device
from pipelines.train import train_avcat
from stages._main import run_stage
from stages._params import load
from stages._track import tracked
from stages._training import loggers


def work(variant: str) -> None:
    """Reads shards and SyncNet, writes `out/<profile>/train/<variant>/`."""
    params = load(variant=variant)
    shards, syncnet, offsets = (params.out / name for name in ("shards", "syncnet/model.pt", "offsets.parquet"))
    with tracked(f"train-{variant}", {"variant": variant, "train": params.train}, [shards, syncnet, offsets]) as run:
        with loggers(run, f"train {variant}", params.train.optimiser.steps) as where:
            metrics = train_avcat(
                params.train,
                params.inputs,
                syncnet=syncnet,
                shards=shards,
                offsets=offsets,
                out=params.out / "train" / variant,
                state=params.state / "train" / variant,
                runtime=with_device(params.runtime),
                loggers=where,
            )
        run.summarise(metrics)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", default="full", help="one of the variants of params.yaml")
    arguments = parser.parse_args()
    return run_stage(lambda: work(arguments.variant))


if __name__ == "__main__":
    sys.exit(main())
