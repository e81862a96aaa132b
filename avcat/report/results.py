"""What the evaluations left on disk, read back for the tables.

`metrics.json` of one method on one corpus:

    {"method", "corpus", "clips", "failed", "frames", "speakers", "judge", "opening_of_ceiling",
     "figures": {name: {"mean", "low", "high", "n", "coverage"}}}

where `null` stands for "nothing counted" and `"inf"` for a figure that is infinite (the PSNR of the truth).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcat.errors import InputError
from avcat.metrics.summary import Summary


@dataclass(frozen=True)
class Result:
    """One method on one corpus."""

    method: str
    corpus: str
    clips: int
    failed: int
    judge: str  # which SyncNet measured; empty where none did
    opening_of_ceiling: float
    figures: dict[str, Summary]
    folder: Path

    @property
    def strips(self) -> list[Path]:
        """Pictures of some clips, the same clips and frames for every method."""
        return sorted((self.folder / "strips").glob("*.png"))


def read_results(folder: Path) -> list[Result]:
    """All results below `folder` (`<method>/<corpus>/metrics.json`), in the order of their paths.

    Raises InputError where a file is not what `evaluate` wrote.
    """
    return [_read(path) for path in sorted(folder.glob("*/*/metrics.json"))]


def _read(path: Path) -> Result:
    try:
        tree = json.loads(path.read_text())
        figures = {name: _summary(figure) for name, figure in tree["figures"].items()}
        return Result(
            tree["method"],
            tree["corpus"],
            tree["clips"],
            tree["failed"],
            tree["judge"],
            from_json(tree["opening_of_ceiling"]),
            figures,
            path.parent,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the metrics of an evaluation ({error})") from error


def _summary(figure: dict[str, Any]) -> Summary:
    mean, low, high = (from_json(figure[name]) for name in ("mean", "low", "high"))
    return Summary(mean, low, high, figure["n"], figure["coverage"])


def to_json(value: float) -> float | str | None:
    """JSON has neither NaN nor infinity: `null` and `"inf"`."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else value


def from_json(value: float | str | None) -> float:
    """The inverse of `to_json`."""
    return math.nan if value is None else float(value)
