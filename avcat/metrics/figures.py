"""All figures of an evaluation: names, how they are printed, what measures them, which tables show them.

To add one, write a function that measures it on a `Pair`, and name both here (docs/extending.md).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from avcat.metrics import measures, mouths
from avcat.metrics.pair import Pair

Measure = Callable[[Pair], dict[str, Any]]  # some figures by name

Judge = Literal["", "evaluator", "official", "lpips"]

NOT_PRINTED = "the paper prints one PSNR, which fits the uint8 one"
NOT_USED = "the paper does not use it"
OFFICIAL = "the paper's is by the official SyncNet"
NOT_SAID = "the paper does not say"


@dataclass(frozen=True)
class Figure:
    """One figure of a clip. That of a corpus is the mean over clips (`avcat.metrics.summary`)."""

    measure: Measure
    title: str
    decimals: int
    better: Literal["", "↑", "↓"] = ""  # higher or lower; empty if neither is
    judge: Judge = ""  # the network without which it is empty
    paper: str = ""  # the field of `avcat.report.paper.PaperRow` that its order is compared with
    paper_empty: str = ""  # why the paper's rows have no number in its column, if not as it is NOT_USED

    @property
    def heading(self) -> str:
        """Of its column."""
        return f"{self.title} {self.better}".rstrip()


# In the order of `metrics.json` and `clips.parquet`.
FIGURES = {
    "ssim": Figure(measures.pictures, "SSIM", 3, "↑", paper="ssim"),
    "psnr": Figure(measures.pictures, "PSNR", 2, "↑", paper_empty=NOT_PRINTED),
    "psnr_uint8_legacy": Figure(measures.pictures, "PSNR uint8", 2, "↑", paper="psnr"),
    "lpips": Figure(measures.perceptual, "LPIPS", 3, "↓", judge="lpips"),
    "lmd": Figure(measures.mouths, "LMD", 2, "↓", paper="lmd"),
    "lmd_centred": Figure(measures.mouths, "LMD centred", 2, "↓"),
    "lmd_atvg": Figure(measures.mouths, "LMD sum", 1, "↓"),
    "opening_correlation": Figure(measures.mouths, "Opening r", 2, "↑"),
    "opening_ceiling": Figure(measures.mouths, "Ceiling of r", 2),
    "opening_amplitude_ratio": Figure(measures.mouths, "Amplitude", 2),
    "mouth_detail": Figure(mouths.measure, "Detail", 2),
    "motion": Figure(mouths.measure, "Motion", 2),
    "flicker": Figure(mouths.measure, "Flicker", 1, "↓"),
    "sync_confidence": Figure(
        measures.evaluator,
        "Sync_conf, evaluator",
        2,
        "↑",
        judge="evaluator",
        paper="sync_confidence",
        paper_empty=OFFICIAL,
    ),
    "sync_distance": Figure(measures.evaluator, "LSE-D, evaluator", 2, "↓", judge="evaluator"),
    "sync_offset": Figure(measures.evaluator, "Offset, evaluator", 1, judge="evaluator"),
    "sync_offset_within_1": Figure(measures.evaluator, "Offset ±1, evaluator", 2, "↑", judge="evaluator"),
    "sync_windows": Figure(measures.evaluator, "Windows, evaluator", 0, judge="evaluator"),
    "lse_c": Figure(measures.official, "Sync_conf, official", 2, "↑", judge="official", paper="sync_confidence"),
    "lse_d": Figure(measures.official, "LSE-D, official", 2, "↓", judge="official"),
    "lse_offset": Figure(measures.official, "Offset, official", 1, judge="official"),
    "lse_windows": Figure(measures.official, "Windows, official", 0, judge="official"),
    "found": Figure(measures.mouths, "Coverage", 3, paper_empty=NOT_SAID),
    "equal_frames": Figure(measures.pictures, "Equal frames", 0),
}

# In `figures/<row>.json`, which DVC compares. Two are of a row, not of its clips (`avcat.metrics.results`).
MAIN = ("clips", "ssim", "psnr", "lmd", "lmd_centred", "opening_of_ceiling", "sync_confidence", "lse_c")
# Which figures a table shows, in its order.
TABLE1 = ("ssim", "psnr", "psnr_uint8_legacy", "lpips", "lmd", "sync_confidence", "lse_c", "found")
GLANCE = ("ssim", "lmd", "sync_confidence")
MOUTH = (
    "opening_correlation",
    "opening_ceiling",
    "opening_amplitude_ratio",
    "mouth_detail",
    "motion",
    "flicker",
    "lmd_centred",
    "lmd_atvg",
    "sync_distance",
    "sync_offset_within_1",
    "sync_windows",
    "lse_d",
    "lse_offset",
    "lse_windows",
)
PAIRED = (  # compared clip by clip
    "ssim",
    "psnr",
    "psnr_uint8_legacy",
    "lpips",
    "lmd",
    "lmd_centred",
    "lmd_atvg",
    "opening_correlation",
    "mouth_detail",
    "motion",
    "flicker",
    "sync_confidence",
    "sync_distance",
    "lse_c",
    "lse_d",
)
AGREEMENT = ("ssim", "psnr_uint8_legacy", "lmd", "sync_confidence", "lse_c")  # with the paper's order of methods
DISTRIBUTIONS = ("ssim", "lmd", "opening_correlation")  # of which the report draws each clip


def headings(names: Iterable[str]) -> list[str]:
    """Of the columns of some figures."""
    return [FIGURES[name].heading for name in names]
