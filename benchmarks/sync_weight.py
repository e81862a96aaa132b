"""Where the sync loss begins to matter: `python -m benchmarks.sync_weight --profile tiny --steps 300`.

Trains AV-CAT on a profile's shards, which must be there, once for each weight, from the same start. Prints the
share of the sync loss in the gradient at the picture's pixels, and its effect on held-out people: L1 and, by the
evaluator SyncNet, which no training used, the sync loss.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avcat.checkpoint import load_model
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import ClipStore, WindowSampler
from avcat.losses.sync import sync_loss
from avcat.methods.avcat.task import AVCATTask
from avcat.methods.syncnet.model import SyncNet
from avcat.training.generator import MIDDLE
from avcat.training.loop import Loggers, run
from avcat.training.threads import Threads
from benchmarks.compute import describe
from stages._params import load

HELD_OUT_WINDOWS = 64


def main() -> None:
    """Prints a line for each weight as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="tiny", help="a file of profiles/ (%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of each training (%(default)s)")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    params = load(options.profile)
    Threads(params.runtime.threads)
    print(describe(options.device))
    print("weight      share of gradient, first to last    held-out L1    held-out sync loss (evaluator)")
    for weight in options.weights:
        print(measure(options.profile, weight, options.steps, options.device), flush=True)


def measure(profile: str, weight: float, steps: int, device: str) -> str:
    """One line of the table."""
    params = load(profile)
    optimiser = replace(params.train.optimiser, steps=steps, validate_every=steps, checkpoint_every=steps)
    weights = replace(params.train.weights, sync=weight)
    config = replace(params.train, optimiser=optimiser, weights=weights)
    train, held_out = (store(params.out / "shards" / split, config.model.image_size) for split in ("train", "val"))
    expert, judge = (syncnet(params.out / name / "model.pt") for name in ("syncnet", "evaluator"))
    task = AVCATTask(config, train, held_out, expert, device)
    shares: list[float] = []

    def scalars(_: int, figures: dict[str, float]) -> None:
        if "gradient_share_sync" in figures:
            shares.append(figures["gradient_share_sync"])

    with tempfile.TemporaryDirectory(prefix="avcat-sync-weight-") as state:
        figures = run(task, optimiser, Path(state), Loggers(scalars, lambda *_: None), fingerprint="")
    span = f"{shares[0]:.4f} to {shares[-1]:.4f}" if shares else "none"
    return f"{weight:<10g}  {span:>34}  {figures['l1']:>13.4f}  {judged(task, judge.to(device)):>32.4f}"


def store(folder: Path, image_size: int) -> ClipStore:
    """All clips of a split."""
    return ClipStore(folder, image_size=image_size, cache_bytes=4 << 30)


def syncnet(path: Path) -> SyncNet:
    """The SyncNet of a model file."""
    network, _ = load_model(path, SyncNet)
    return network


@torch.inference_mode()
def judged(task: AVCATTask, judge: SyncNet) -> float:
    """The sync loss of held-out windows by a SyncNet that no training has used."""
    sampler, network, losses = WindowSampler(task.held_out, seed=1, clips=1), task.averaged, []
    for number in range(HELD_OUT_WINDOWS):
        sample = task.sample(sampler.batch(number), None)
        drawn = network.composite(sample.truth, task.draw(network, sample).prediction)
        losses.append(sync_loss(judge, drawn.unflatten(0, (-1, WINDOW_FRAMES)), sample.mels[:, MIDDLE]).item())
    return float(np.mean(losses))


if __name__ == "__main__":
    main()
