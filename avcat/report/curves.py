"""Learning curves and mouths over time as SVG for light and dark backgrounds; deterministic bytes."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from numpy.typing import NDArray

from avcat.errors import InputError

INK = "#808080"  # as far from black as from white
COLOURS = ("#2a8cd8", "#e0702c", "#3fa35b", "#b46ad1", "#c9a227", "#d1497a", "#3aa6a6", "#8c6d4f")
SIZE_INCHES = (4.6, 2.7)  # small, so that the text is readable on a phone
SMOOTHED_POINTS = 150  # a training curve is averaged down to this many
STYLE: Any = {
    "svg.hashsalt": "avcat",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "lines.linewidth": 1.4,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # steps, values


def read_curves(path: Path) -> dict[str, Curve]:
    """The curves of a training's `curves.csv`: a column `step`, and one per figure, with cells that may be empty.

    Raises InputError if the file is not such a table.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        names = [name for name in rows[0] if name != "step"] if rows else []
        points = {name: [(float(row["step"]), float(row[name])) for row in rows if row[name]] for name in names}
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a table of curves ({error})") from error
    return {name: (np.array(p)[:, 0], np.array(p)[:, 1]) for name, p in points.items() if p}


def learning_curves(title: str, curves: Mapping[str, Curve]) -> str:
    """One picture of the named curves over the steps. Long ones are averaged over equal spans."""

    def draw(axes: Axes) -> None:
        for name, curve in curves.items():
            steps, values = _averaged(curve)
            axes.plot(steps, values, label=name, marker="." if len(steps) < 30 else "")
        axes.set_xlabel("step")
        positive = all((values > 0).all() for _, values in curves.values())
        if positive and any(values.max() > 20 * values.min() for _, values in curves.values()):
            axes.set_yscale("log")

    return _svg(title, draw)


def openings(title: str, series: Mapping[str, Sequence[float]], fps: int) -> str:
    """The mouth's opening over time, one line per method."""

    def draw(axes: Axes) -> None:
        for name, values in series.items():
            axes.plot(np.arange(len(values)) / fps, values, label=name)
        axes.set_xlabel("s")
        axes.set_ylabel("gap / eye distance")

    return _svg(title, draw)


def accuracy_by_shift(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """How often a SyncNet prefers the right sound to that 1, 2, ... frames off, one line per network."""

    def draw(axes: Axes) -> None:
        for name, values in lines.items():
            axes.plot(np.arange(1, len(values) + 1), values, label=name, marker=".")
        axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")  # chance
        axes.set_xlabel("frames off")

    return _svg(title, draw)


def distances_by_offset(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """SyncNet's mean distance at every offset of the sound, one line per method: if in sync, its minimum is at 0."""

    def draw(axes: Axes) -> None:
        for name, values in lines.items():
            axes.plot(np.arange(len(values)) - len(values) // 2, values, label=name)
        axes.set_xlabel("frames by which the sound leads")
        axes.set_ylabel("distance")

    return _svg(title, draw)


def distributions(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """Every clip as a dot, a row for each method, its median as a line."""

    def draw(axes: Axes) -> None:
        for place, clips in enumerate(values.values()):
            found = np.sort(np.asarray(clips, float))
            spread = (np.arange(len(found)) * 0.618034 % 1 - 0.5) * 0.5  # beside each other, not at random
            axes.scatter(found, place + spread, s=9, color=f"C{place}", alpha=0.7, linewidths=0)
            if len(found):
                axes.vlines(np.median(found), place - 0.4, place + 0.4, color=INK, linewidth=1.4)
        axes.set_yticks(range(len(values)), list(values))
        axes.set_xlabel("a dot: a clip; the bar: their median (tables have means)")
        axes.invert_yaxis()

    return _svg(title, draw)


def _svg(title: str, draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left")
        if len(axes.lines) > 1:
            figure.legend(loc="outside lower left", ncols=3, fontsize=8)  # beside the lines, never on them
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _averaged(curve: Curve) -> Curve:
    steps, values = curve
    spans = max(1, math.ceil(len(steps) / SMOOTHED_POINTS))
    edges = np.arange(0, len(steps), spans)
    counts = np.diff(np.append(edges, len(steps)))
    return np.add.reduceat(steps, edges) / counts, np.add.reduceat(values, edges) / counts
