"""What another program costs: `python -m benchmarks.neighbour`; with `--model out/demo/train/full/model.pt` dubs, too.

Times a training step of SyncNet and of AV-CAT, and `avcat dub`: by itself, beside one busy program of one thread, and
beside a second copy of itself; prints how many times as long each takes. A fair share of two cores would be 1.5 times
beside the busy program, and twice beside a copy.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from avcat.training.threads import Threads
from benchmarks.compute import describe

BUSY = [sys.executable, "-c", "while True: pass"]
WARM_UP_S = 4.0  # in which threads detect other programs


def main() -> None:
    """Measures each program in turn, and prints a line for it as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="demo", help="a file of profiles/ (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="that steps are timed (%(default)s)")
    parser.add_argument("--model", type=Path, help="a model.pt: `avcat dub` is measured, too")
    parser.add_argument("--steps-of", choices=("syncnet", "avcat"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps_of:
        print(step_s(options.steps_of, options.profile, options.seconds))
        return
    print(describe("cpu"))
    for network in ("syncnet", "avcat"):
        words = [sys.executable, "-m", "benchmarks.neighbour", "--steps-of", network]
        command = [*words, "--profile", options.profile, "--seconds", str(options.seconds)]
        with contextlib.ExitStack() as busy:
            alone = timed_step(command)
            busy.enter_context(running(BUSY))
            beside_busy = timed_step(command)
        with running([*command[:-1], str(10 * options.seconds)]):
            beside_its_like = timed_step(command)
        show(f"a step of {network}, profile {options.profile}", alone, beside_busy, beside_its_like)
    if options.model:
        from benchmarks.dub import lengthened, rendered

        with tempfile.TemporaryDirectory(prefix="avcat-bench-") as name:
            video, sound = lengthened(rendered(Path(name)), Path(name), options.seconds)
            words = [sys.executable, "-m", "avcat.apps.cli", "dub", str(video), str(sound), "-q", "--model"]
            dub = [*words, str(options.model), "-o"]
            alone = duration_s([*dub, f"{name}/alone.mp4"])
            with running(BUSY):
                beside_busy = duration_s([*dub, f"{name}/busy.mp4"])
            with running([*dub, f"{name}/other.mp4"]):
                beside_its_like = duration_s([*dub, f"{name}/like.mp4"])
        show(f"avcat dub, {options.seconds:g} s of 640 x 480", alone, beside_busy, beside_its_like)


def show(what: str, alone: float, busy: float, like: float) -> None:
    """A line of figures."""
    print(
        f"{what}: {alone:.3f} s alone, beside a busy program x {busy / alone:.2f}, beside a copy x {like / alone:.2f}"
    )


def step_s(network: str, profile: str, seconds: float) -> float:
    """The median time of a step on noise, with the profile's settings and losses."""
    from stages._params import load
    from stages.forecast import task_on_noise

    params, threads = load(profile), Threads()
    torch.manual_seed(0)
    task = task_on_noise(network, params.syncnet if network == "syncnet" else params.train, params, "cpu")
    batch, times = task.sampler.batch(0), []
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + WARM_UP_S + seconds:
        task.step(len(times) + 1, batch)
        threads.adapt()
        times.append((now, time.perf_counter() - now))
    return statistics.median(step for start, step in times if start > begin + WARM_UP_S)


def timed_step(command: list[str]) -> float:
    """Seconds, as `step_s` of another process prints them."""
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def duration_s(command: list[str]) -> float:
    """Seconds of a whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[None]:
    """A program that runs while the block does."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(1)
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    main()
