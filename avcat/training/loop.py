"""The loop around every training: batches, steps, validation, checkpoints, resume.

What is trained is a `Task`; the loop does not depend on faces. A step's batch and its random numbers are functions of
the seed and the step, so a run that was stopped and resumed gives the same losses as one that was not, up to rounding
if the number of threads is not fixed (`avcat.training.threads`).
"""

import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from avcat.checkpoint import read_archive
from avcat.data.windows import Batch
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.nn.precision import Precision, resolved
from avcat.training.optimiser import OptimiserConfig
from avcat.training.ranks import agreed, ranks
from avcat.training.threads import Threads

MAX_BAD_STEPS = 20  # skipped in a row before the run gives up
SPEED = ("step_s", "images_per_s", "data_wait_share", "gpu_memory_gib")  # figures of the machine, not of what is learnt


class Task(Protocol):
    """One network's training: what a step does, and all of the state that the next step depends on."""

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps start .. stop - 1."""
        ...

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        """One step; returns its losses and norms. Leaves everything unchanged if a loss is not finite."""
        ...

    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Figures and pictures (`uint8 [H, W, 3]`) on held-out clips."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything to resume from: only tensors, numbers, dicts and lists."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        ...


class Step(NamedTuple):
    """One step of a training, done."""

    done: int  # how many are, this one included
    figures: dict[str, float]  # of the step and, after a validation, `val_<name>` of held-out clips
    measured: dict[str, float]  # `SPEED`
    images: dict[str, np.ndarray]  # uint8 [H, W, 3], of a validation


@dataclass(frozen=True)
class Loggers:
    """Callbacks for figures, pictures and single notes (a name and a text)."""

    scalars: Callable[[int, dict[str, float]], None]
    image: Callable[[str, int, np.ndarray], None]
    note: Callable[[str, str], None] = lambda *_: None


def run(
    task: Task,
    config: OptimiserConfig,
    state_dir: Path,
    loggers: Loggers,
    *,
    fingerprint: str,
    threads: Threads | None = None,
) -> dict[str, float]:
    """Trains to `config.steps`, resuming from the newest readable checkpoint in `state_dir` if there is one.

    A checkpoint of other settings (another `fingerprint`) is not used. Curves are kept in `state_dir/curves.csv`.
    `threads` are adapted after each step.
    If several ranks train together, all call this with the same folder; the first one logs and writes.
    Returns the figures of the last validation.
    """
    history = History(state_dir / "curves.csv")
    start = resume(task, state_dir, fingerprint)
    history.cut(start)
    last = history.rows[-1] if history.rows else {}
    for done, figures, measured, images in each_step(task, config, start, threads):
        last = figures
        if not ranks().leads:
            continue
        history.add(done, figures)
        loggers.scalars(done, {**figures, **measured})
        for name, image in images.items():
            loggers.image(name, done, image)
        if done % config.checkpoint_every == 0 or done == config.steps:
            history.flush()
            save(task, state_dir, done, fingerprint, config)
    return {name.removeprefix("val_"): value for name, value in last.items() if name.startswith("val_")}


def each_step(task: Task, config: OptimiserConfig, start: int, threads: Threads | None) -> Iterator[Step]:
    """Trains from step `start` to `config.steps`, or until the caller stops; nothing is written.

    `threads` are adapted after each step. Raises FloatingPointError after `MAX_BAD_STEPS`.
    """
    bad, last = 0, time.perf_counter()
    for number, batch in zip(range(start, config.steps), task.batches(start, config.steps), strict=True):
        waited = time.perf_counter() - last
        figures = task.step(number, batch)
        bad = 0 if all(map(math.isfinite, figures.values())) else bad + 1
        if bad > MAX_BAD_STEPS:
            raise FloatingPointError(f"{bad} steps in a row with losses that are not finite, the last one {figures}")
        done, now = number + 1, time.perf_counter()
        measured = speed(batch.frames.shape, now - last, waited)
        last = now
        if threads:
            threads.adapt()
        images: dict[str, np.ndarray] = {}
        if done % config.validate_every == 0 or done == config.steps:
            held_out, images = task.validate(done)
            figures = {**figures, **{f"val_{name}": value for name, value in held_out.items()}}
            last = time.perf_counter()
        yield Step(done, figures, measured, images)


def speed(frames: tuple[int, ...], step_s: float, waited_s: float) -> dict[str, float]:
    """`SPEED` of one step, with a batch of `frames` `[W, 5, S, S, 3]` on each rank.

    `images_per_s` counts the frames of all ranks; `data_wait_share` is the part of the step spent waiting for the
    batch. `gpu_memory_gib` is the most that tensors have held so far, only if a GPU is used.
    """
    figures = {
        "step_s": step_s,
        "images_per_s": frames[0] * frames[1] * ranks().world / step_s,
        "data_wait_share": waited_s / step_s,
    }
    if torch.cuda.is_initialized():
        figures["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return figures


class History:
    """The figures of every step, as a CSV that survives a restart. Steps are counted from 1: how many are done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]

    def cut(self, done: int) -> None:
        """Removes the steps after `done`."""
        self.rows = [row for row in self.rows if row["step"] <= done]

    def add(self, done: int, figures: dict[str, float]) -> None:
        self.rows.append({"step": done, **figures})

    def flush(self) -> None:
        """Writes the file, atomically."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_path(self.path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows({k: f"{v:.6g}" if k != "step" else int(v) for k, v in row.items()} for row in self.rows)


def checkpoints(state_dir: Path) -> list[Path]:
    """Checkpoint files, oldest first."""
    return sorted(state_dir.glob("step-*.pt"))


def save(task: Task, state_dir: Path, done: int, fingerprint: str, config: OptimiserConfig) -> None:
    """Writes a checkpoint atomically, then deletes all but the newest `config.keep_checkpoints`."""
    content = {"done": done, "fingerprint": fingerprint, "precision": config.precision, "state": task.state()}
    with atomic_path(state_dir / f"step-{done:08d}.pt") as part:
        torch.save(content, part)
    for path in checkpoints(state_dir)[: -config.keep_checkpoints]:
        path.unlink()


def resume(task: Task, state_dir: Path, fingerprint: str) -> int:
    """Loads the newest readable checkpoint of the same settings; returns how many steps are done.

    Without one that is 0, and the others are deleted: `save` keeps the newest by step, whatever their settings.
    """
    content = _newest(state_dir, fingerprint)
    if content:
        task.load_state(content["state"])
        print(f"resuming from step {content['done']}", flush=True)
        return int(content["done"])
    if ranks().leads:
        for path in checkpoints(state_dir):
            path.unlink()
    return 0


def precision_of(config: OptimiserConfig, state_dir: Path, fingerprint: str, device: str) -> Precision:
    """The precision that all ranks train in. For `auto` that of the checkpoint to resume from, else the fastest.

    If the ranks' devices differ, it is one that none of them emulates.
    """
    begun = _newest(state_dir, fingerprint, report=False) if config.precision == "auto" else None
    return agreed(begun["precision"] if begun else resolved(config.precision, device))


def _newest(state_dir: Path, fingerprint: str, *, report: bool = True) -> dict[str, Any] | None:
    """The newest readable checkpoint, if its settings are the same."""
    for path in reversed(checkpoints(state_dir)):
        try:
            content: dict[str, Any] = read_archive(path, "a checkpoint")
        except InputError as error:
            if report:
                print(f"{error}; trying the one before", flush=True)
            continue
        if content["fingerprint"] == fingerprint:
            return content
    return None


def fingerprint_of(*parts: Any) -> str:
    """A text that is equal if the settings are: JSON with sorted keys."""
    return json.dumps(parts, sort_keys=True, default=str)
