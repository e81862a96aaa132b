"""The files of an evaluation, for writers and readers.

`metrics.json` of one method on one corpus:

    {"method", "corpus", "clips", "failed", "frames", "speakers", "judge", "opening_of_ceiling",
     "reasons": {why clips are left out: how many}, "unmeasured": {judge: why its figures are empty},
     "figures": {name: {"mean", "low", "high", "n", "coverage"}}}

where `null` stands for "nothing counted" and `"inf"` for a figure that is infinite (the PSNR of the truth). Beside it
lie `clips.parquet`, one row per clip, and `strips/<clip_id>.png`, pictures side by side.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avcat.errors import InputError
from avcat.media.pictures import png
from avcat.metrics.summary import Summary

GROUND_TRUTH, COPY_REFERENCE = "ground-truth", "copy-reference"  # rows without a network
BOUNDS = (COPY_REFERENCE, GROUND_TRUTH)
BASE = "full"  # AV-CAT itself, which the other rows are compared with
NOTHING = Summary(math.nan, math.nan, math.nan, 0, 0.0)


@dataclass(frozen=True)
class Result:
    """One row on one corpus."""

    method: str  # the row: its name in params.yaml, a bound, or the name given to videos made elsewhere
    corpus: str
    clips: int
    failed: int
    judge: str  # which SyncNet measured; empty if none did
    opening_of_ceiling: float
    reasons: dict[str, int]  # why clips were left out, and how many each
    unmeasured: dict[str, str]  # by judge (`avcat.metrics.figures`): why its figures are empty
    figures: dict[str, Summary]
    folder: Path

    def figure(self, name: str) -> Summary:
        """Of all clips; `NOTHING` if the evaluation is older than the figure."""
        return self.figures.get(name, NOTHING)

    @property
    def strips(self) -> list[Path]:
        """Pictures of some clips, the same clips and frames for every method."""
        return sorted((self.folder / "strips").glob("*.png"))


def read_results(folder: Path) -> list[Result]:
    """All results below `folder` (`<row>/<corpus>/metrics.json`): words first, as in the paper.

    Raises InputError if a file is not what `evaluate` wrote.
    """
    results = [_read(path) for path in sorted(folder.glob("*/*/metrics.json"))]
    first = ("synth-words", "synth-wild", "lrw", "voxceleb")
    return sorted(results, key=lambda r: (first.index(r.corpus) if r.corpus in first else len(first), r.corpus))


def read_clips(folder: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """`clips.parquet` of a result's folder, a mapping per clip; a column that the evaluation is older than is NaN."""
    path = folder / "clips.parquet"
    there = [name for name in names if name in pq.read_schema(path).names]
    unknown = dict.fromkeys(set(names) - set(there), math.nan)
    return [row | unknown for row in pq.read_table(path, columns=there).to_pylist()]


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
            tree["reasons"],
            tree["unmeasured"],
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


def encode_strip(pictures: NDArray[np.uint8]) -> bytes:
    """Square RGB pictures `uint8 [n, S, S, 3]` side by side, as PNG: lossless, deterministic bytes."""
    return png(np.hstack(list(pictures)))


def decode_strip(data: bytes) -> NDArray[np.uint8]:
    """The inverse of `encode_strip`. Raises ValueError if the bytes are not a strip."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None or image.shape[1] % image.shape[0]:
        raise ValueError("not a strip of pictures")
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.stack(np.split(rgb, rgb.shape[1] // rgb.shape[0], axis=1)).astype(np.uint8, copy=False)
