"""How fast AV-CAT's training step is, against the plain one and the machine: `python -m benchmarks.train`.

Runs whole steps (generator, discriminator, VGG, sync, both optimisers) on noise, in fp32, in bf16 and in bf16 compiled,
each from the same weights. Prints frames per second, how many times those of plain fp32 that is, and the share of the
best matrix product in the same precision.
"""

import argparse
import time
from dataclasses import replace

import torch

from avcat.methods.avcat.task import LossWeights, TrainConfig
from avcat.training.threads import Threads
from benchmarks.compute import ceiling, describe, operations, synchronise
from stages._params import Params, load
from stages.forecast import task_on_noise

ALL_LOSSES = LossWeights(l1=1.0, edges=3.0, gan=0.02, vgg=0.1, sync=0.1)
WARM_UP = 3  # steps, the first of which compiles


def main() -> None:
    """Measures each way in turn, and prints a line for it as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="paper", help="a file of profiles/ (%(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, help="in a batch, of five frames each (default: the profile's)")
    parser.add_argument("--steps", type=int, default=10, help="that are timed (%(default)s)")
    parser.add_argument(
        "--own-losses", action="store_true", help="weights as the profile has them, instead of all losses"
    )
    parser.add_argument("--compile", action="store_true", help="also bf16 compiled, where compiling pays")
    options = parser.parse_args()
    Threads()
    params = load(options.profile)
    config = params.train
    if not options.own_losses:
        config = replace(config, weights=ALL_LOSSES)
    if options.clips:
        config = replace(config, optimiser=replace(config.optimiser, batch_clips=options.clips))
    frames = 5 * config.optimiser.batch_clips
    print(describe(options.device))
    print(f"profile {options.profile}: {frames} frames of {config.model.image_size} px per step")
    plain = 0.0
    for name, precision, compiled in (
        ("fp32", "fp32", False),
        ("bf16", "bf16", False),
        ("bf16 compiled", "bf16", True),
    ):
        if compiled and not options.compile:
            continue
        seconds, flops, loss = measure(config, precision, compiled, params, options)
        top = ceiling(options.device, torch.bfloat16 if precision == "bf16" else torch.float32)
        plain = plain or seconds
        print(
            f"{name:<14} {frames / seconds:8.1f} frames/s  x {plain / seconds:.2f}  {flops / 1e9:.0f} GFLOP per step: "
            f"{flops / seconds / 1e12:.3f} of {top / 1e12:.3f} TFLOP/s = {flops / seconds / top:.2f}  "
            f"first loss {loss:.4f}",
            flush=True,
        )


def measure(
    config: TrainConfig, precision: str, compiled: bool, params: Params, options: argparse.Namespace
) -> tuple[float, int, float]:
    """Seconds and operations of a step, and the first step's loss."""
    optimiser = replace(config.optimiser, precision=precision)
    torch.manual_seed(0)
    task = task_on_noise("avcat", replace(config, optimiser=optimiser), params, options.device)
    batch = task.sampler.batch(0)
    first: list[float] = []
    flops = operations(lambda: first.append(task.step(0, batch)["total"]))
    if compiled:
        task.compile()
    for number in range(WARM_UP):
        task.step(number, batch)
    synchronise(options.device)
    start = time.perf_counter()
    for number in range(options.steps):
        task.step(WARM_UP + number, batch)
    synchronise(options.device)
    return (time.perf_counter() - start) / options.steps, flops, first[0]


if __name__ == "__main__":
    main()
