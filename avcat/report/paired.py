"""Each row against the full model, clip by clip: which differences are more than chance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avcat.metrics.figures import FIGURES, PAIRED, headings
from avcat.metrics.paired import FEWEST_SPEAKERS, LEVEL, Difference, adjusted, compare
from avcat.metrics.results import BASE, BOUNDS, Result, read_clips
from avcat.report.table import Cell, Row, Table, csv_text
from avcat.report.tables import TITLES, difference_cell, in_order, reason_why_empty, title_of

NOTES = (
    "The row's figure minus the full model's, mean over the clips that both count, with a 95 % bootstrap interval over "
    "speakers. * : more than chance. The test draws the sign of each speaker's differences; p values are raised for "
    "the number of differences of a corpus (Benjamini and Hochberg; videos made elsewhere apart), so that of "
    f"those marked about {100 * LEVEL:.0f} % at most are false alarms. With fewer than {FEWEST_SPEAKERS} speakers "
    "nothing is marked.",
    "One training per row: what another seed would have made of the same row is not in these intervals "
    "(`python -m stages.seeds` measures it).",
)


@dataclass(frozen=True)
class Compared:
    """A row's figure against the full model's."""

    corpus: str
    method: str
    figure: str
    difference: Difference
    p_adjusted: float
    empty: str  # why there is no difference; empty if there is one


def compared(results: Sequence[Result], trained: Collection[str] = TITLES) -> list[Compared]:
    """Every row against the full model on every corpus that has one; reads the clips of each result.

    `trained` are the rows of ours; the other results, except the bounds, are of videos made elsewhere.
    """
    found: list[Compared] = []
    for corpus, rows in in_order(results).items():
        base = next((result for result in rows if result.method == BASE), None)
        if base is None:
            continue
        ours, speakers = clips_of(base.folder)
        differences: dict[str, tuple[Result, str, Difference]] = {}
        for result in rows:
            if result is not base:
                theirs, _ = clips_of(result.folder)
                for figure in PAIRED:
                    difference = compare(theirs[figure], ours[figure], speakers)
                    differences[f"{result.method}/{figure}"] = result, figure, difference
        asked = {name: (result.method, difference.p) for name, (result, _, difference) in differences.items()}
        ps = raised(asked, trained)
        found += [
            Compared(corpus, result.method, figure, difference, ps[name], reason_why_empty(result, figure))
            for name, (result, figure, difference) in differences.items()
        ]
    return found


def raised(asked: Mapping[str, tuple[str, float]], trained: Collection[str] = TITLES) -> dict[str, float]:
    """(method, p) by name -> p raised for the number of tests: of the rows `trained` here, and of all others.

    The truth differs from every row, and the number of external rows is arbitrary: neither may change our rows' stars.
    """
    families: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for name, (method, p) in asked.items():
        families[method in trained and method not in BOUNDS][name] = p
    return {**adjusted(families[True]), **adjusted(families[False])}


def clips_of(folder: Path) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """What a result's folder holds: `PAIRED` by name and clip id, and the clips' speakers."""
    clips = read_clips(folder, ["clip_id", "speaker", *PAIRED])
    figures = {name: {clip["clip_id"]: clip[name] for clip in clips} for name in PAIRED}
    return figures, {clip["clip_id"]: clip["speaker"] for clip in clips}


def paired_table(found: Sequence[Compared]) -> Table:
    """The differences that `compared` found."""
    groups = []
    for corpus in dict.fromkeys(each.corpus for each in found):
        rows: dict[str, list[Cell]] = {}
        for each in (each for each in found if each.corpus == corpus):
            cells = rows.setdefault(each.method, [Cell(title_of(each.method)), _clip_cell(found, each)])
            cells.append(_cell(each))
        groups.append((f"ours, {corpus}", [Row(cells, "ours") for cells in rows.values()]))
    columns = ["Method", "N", *headings(PAIRED)]
    return Table(f"Against {TITLES[BASE]}, clip by clip", columns, groups, NOTES)


def _clip_cell(found: Sequence[Compared], one: Compared) -> Cell:
    """The most clips that a figure of the row was compared on."""
    return Cell(str(max(each.difference.n for each in found if (each.corpus, each.method) == (one.corpus, one.method))))


def _cell(each: Compared) -> Cell:
    return difference_cell(each.difference, FIGURES[each.figure].decimals, each.p_adjusted < LEVEL, each.empty)


def paired_csv(found: Sequence[Compared]) -> str:
    """Every difference, one per line."""
    headings = ("data", "method", "less", "figure", "mean", "low", "high", "p", "p_adjusted", "clips", "speakers")
    lines = []
    for each in found:
        d = each.difference
        numbers = (d.mean, d.low, d.high, d.p, each.p_adjusted, d.n, d.speakers)
        lines.append((each.corpus, each.method, BASE, each.figure, *numbers))
    return csv_text(headings, lines)
