"""`python -m stages.syncnet`: trains the SyncNet of the loss, and scores it on people it has never seen."""

import argparse
import sys

from avcat.errors import InputError
from avcat.training.loop import Loggers
from pipelines.resources import with_device
from pipelines.train import overfit_syncnet
from stages._main import bar, run_stage
from stages._params import Row, load
from stages.train import train

LEARNT = 0.9  # a two-way accuracy on clips that were seen many times


def work() -> None:
    """Writes `out/<profile>/syncnet/`."""
    params = load()
    train(Row("syncnet", params.syncnet), params, "syncnet", "syncnet")


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
