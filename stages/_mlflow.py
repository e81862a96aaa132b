"""One MLflow run per stage: its settings, inputs, figures and pictures.

The store is `mlflow.db` in the project's root unless MLFLOW_TRACKING_URI names another. Runs of one reproduction
share the tag `reproduction`, so that the user interface groups and compares them: the variable AVCAT_REPRODUCTION that
`stages.reproduce` sets, else the name of `dvc exp run`'s experiment.
"""

import logging
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from avcat.settings import to_dict
from stages._params import ROOT

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import, which would send it
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow as mlflow  # imported from here, it has no telemetry

for _name in ("mlflow", "alembic"):  # they log every table of a new store
    logging.getLogger(_name).setLevel(logging.WARNING)

EXPERIMENT = "avcat"


class Run:
    """The run of one stage. Its methods are the callbacks that pipelines take."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each named curve."""
        mlflow.log_metrics({name: float(value) for name, value in values.items()}, step=step)

    def log_image(self, name: str, step: int, image: np.ndarray) -> None:
        """A uint8 [H, W, 3] RGB picture, kept for each step."""
        mlflow.log_image(image, key=name, step=step)

    def note(self, name: str, text: str) -> None:
        """Prints a fact that is known only now, such as the precision of a training, and keeps it as a tag."""
        tqdm.write(f"{name}: {text}")  # below which a bar goes on
        mlflow.set_tag(name, text)

    def log_outcomes(self, counts: Mapping[str, Any]) -> None:
        """A picture of the clips' outcomes: `clips` by status, `rejected` and `failed` by reason."""
        bars = {"ok": counts["clips"]["ok"]}
        for status in ("rejected", "failed"):
            bars |= {f"{status}: {reason}": count for reason, count in counts[status].items()}
        self.log_bars("outcomes", f"{counts['clips']['in']} clips", bars)

    def log_bars(self, name: str, title: str, bars: Mapping[str, float]) -> None:
        """A picture of counts, one bar each."""
        from matplotlib.figure import Figure  # slow to import

        figure = Figure(figsize=(8, 1 + 0.35 * len(bars)), layout="constrained")
        axes = figure.subplots()
        axes.bar_label(axes.barh(list(bars), list(bars.values()), color="#4477aa"), padding=3)
        axes.invert_yaxis()
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.set_xticks([])
        axes.set_title(title, loc="left")
        mlflow.log_figure(figure, f"{name}.png")

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Prints the stage's figures and its time, one per line, and keeps the numbers; names are joined by dots."""
        flat = {**dict(flatten(values)), "stage_s": round(time.monotonic() - self._started, 1)}
        width = max(map(len, flat), default=0)
        for name, value in flat.items():
            print(f"  {name:<{width}}  {value:.4g}" if isinstance(value, float) else f"  {name:<{width}}  {value}")
        numbers = {name: float(value) for name, value in flat.items() if isinstance(value, (int, float))}
        mlflow.log_metrics({_metric_name(name): value for name, value in numbers.items()})


class Untracked(Run):
    """For the other processes of a training: only the first one logs."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def log_image(self, name: str, step: int, image: np.ndarray) -> None:
        pass

    def note(self, name: str, text: str) -> None:
        pass

    def summarise(self, values: Mapping[str, Any]) -> None:
        pass


def use_store() -> None:
    """Points MLflow to the project's own store, unless the environment names another."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{ROOT / 'mlflow.db'}")


@contextmanager
def tracked(stage: str, params: Mapping[str, Any], reads: Iterable[str | Path] = ()) -> Iterator[Run]:
    """The MLflow run of `stage`, under DVC's name of it if DVC started it.

    `params` maps section names to dataclasses or plain values; `reads` are the stage's inputs, with an md5 in DVC.
    An exception marks the run FAILED and is passed on. If torchrun started several processes, only the first has a run.
    """
    if int(os.environ.get("RANK", "0")):
        yield Untracked()
        return
    use_store()
    mlflow.set_experiment(EXPERIMENT)
    name = os.environ.get("DVC_STAGE", stage)
    reproduction = os.environ.get("AVCAT_REPRODUCTION") or os.environ.get("DVC_EXP_NAME") or "none"
    tags = {"stage": name, "git_revision": git_revision(), "reproduction": reproduction}
    tags |= {f"md5.{path}": md5 for path, md5 in input_hashes(reads).items()}
    with mlflow.start_run(run_name=name, tags=tags):
        mlflow.log_params({key: str(value) for key, value in flatten(_plain(params))})
        yield Run()


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, leaf) of a nested mapping."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def git_revision() -> str:
    """The commit, with `+` if files differ from it; `none` outside a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    revision = git("rev-parse", "HEAD")
    return (revision + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")) or "none"


def input_hashes(reads: Iterable[str | Path], lock: Path | None = None) -> dict[str, str]:
    """The md5 that `dvc.lock` holds for each of the paths that an earlier stage wrote."""
    lock = lock or ROOT / "dvc.lock"
    if not lock.exists():
        return {}
    stages = (yaml.safe_load(lock.read_text()) or {}).get("stages", {}).values()
    known = {out["path"]: out.get("md5", "") for stage in stages for out in stage.get("outs", [])}
    paths = [Path(path).as_posix() for path in reads]
    return {path: known[path] for path in paths if path in known}


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: to_dict(value) if hasattr(value, "__dataclass_fields__") else value for key, value in params.items()}


def _metric_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)
