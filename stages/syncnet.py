"""`python -m stages.syncnet`: trains the SyncNet of the loss, and scores it on people it has never seen."""

import argparse
import sys

from avcat.errors import InputError
from avcat.methods.syncnet.task import SyncNetTraining
from avcat.training.loop import Loggers
from pipelines.resources import with_device
from pipelines.train import overfit_syncnet, train_method
from pipelines.workers import train_on_workers
from stages._main import bar, run_stage
from stages._mlflow import tracked
from stages._params import Params, load
from stages._training import conclude, loggers

LEARNT = 0.9  # a two-way accuracy on clips that were seen many times


def train(name: str, config: SyncNetTraining, params: Params) -> None:
    """Reads the shards, writes `out/<profile>/<name>/model.pt`, `metrics.json` and `curves.csv`."""
    shards = params.out / "shards"
    with tracked(name, {name: config}, [shards]) as run:
        with loggers(run, name, config.optimiser.steps) as where:
            metrics = train_on_workers(
                train_method,
                "syncnet",
                config,
                params.inputs,
                syncnet=None,
                shards=shards,
                offsets=None,
                out=params.out / name,
                state=params.state / name,
                runtime=with_device(params.runtime),
                loggers=where,
            )
        conclude(run, metrics, params.out / name / "model.pt", name, params, config)


def work() -> None:
    params = load()
    train("syncnet", params.syncnet, params)


def overfit(clips: int, steps: int) -> None:
    """Reports whether a few training clips can be overfitted. Raises InputError if they cannot."""
    params = load()
    with bar(f"overfit {clips} clips", "step") as progress:
        metrics = overfit_syncnet(
            params.syncnet,
            clips=clips,
            steps=steps,
            shards=params.out / "shards",
            runtime=with_device(params.runtime),
            loggers=Loggers(lambda step, _: progress(step, steps), lambda *_: None),
        )
    said = f"two-way accuracy {metrics['two_way']:.3f} on the {clips} clips it saw {steps} steps long"
    if metrics["two_way"] < LEARNT:
        raise InputError(f"not learnt: {said}. Sound and picture may not belong together: docs/training.md")
    print(f"learnt: {said}. Sound and picture belong together, and these settings can learn it")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overfit", type=int, metavar="N", help="only try to overfit to N clips, and keep nothing")
    parser.add_argument("--steps", type=int, default=400, help="that --overfit takes (%(default)s)")
    arguments = parser.parse_args()
    if arguments.overfit is None:
        return run_stage(work)
    return run_stage(lambda: overfit(arguments.overfit, arguments.steps))


if __name__ == "__main__":
    sys.exit(main())
