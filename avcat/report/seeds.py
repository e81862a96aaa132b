"""Rows against the full model, each trained from several seeds: which differences do not depend on the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import ttest_1samp

from avcat.errors import InputError
from avcat.metrics.figures import FIGURES, PAIRED, headings
from avcat.metrics.paired import LEVEL, Difference, compare
from avcat.metrics.results import BASE, Result, read_results
from avcat.report.paired import clips_of, raised
from avcat.report.table import Cell, Row, Table
from avcat.report.tables import TITLES, difference_cell, in_order, reason_why_empty, title_of

FEWEST_SEEDS = 3  # two agree on a sign half of the time by chance
NOTES = (
    "The row's figure minus the full model's of the same seed: mean over seeds and clips, with a 95 % bootstrap "
    "interval over speakers of the clips' means over seeds; then each seed's own mean. * : more than chance both ways, "
    f"over speakers (the paired test, below {LEVEL:g} when raised for the number of differences of a corpus) and over "
    f"seeds (Student's t test of their means, below {LEVEL:g}). With fewer than {FEWEST_SEEDS} seeds nothing is "
    "marked.",
)


@dataclass(frozen=True)
class Seeded:
    """A row's figure against the full model's, over several trainings of both."""

    corpus: str
    method: str
    figure: str
    difference: Difference  # of what each clip has on average over seeds
    of_each: tuple[float, ...]  # seed's own mean difference
    p_adjusted: float
    empty: str  # why there is no difference; empty if there is one

    @property
    def holds(self) -> bool:
        """Whether it is beyond chance both over speakers and over seeds."""
        return self.p_adjusted < LEVEL and _beyond_seeds(self.of_each)


def _beyond_seeds(means: Sequence[float]) -> bool:
    """Whether the seeds' mean differences differ from 0, by Student's t test.

    What a training learns by chance changes all speakers alike, so a test over speakers does not detect it.
    """
    if len(means) < FEWEST_SEEDS or not np.isfinite(means).all():
        return False
    if np.ptp(means) == 0:
        return means[0] != 0
    return bool(ttest_1samp(means, 0).pvalue < LEVEL)


def seeded(folders: Sequence[Path]) -> list[Seeded]:
    """The rows that every folder has, against the full model's.

    Each folder has one seed's results, as `<row>/<corpus>/`. Raises InputError if no row
    is in all folders together with the full model.
    """
    seeds = [{(result.corpus, result.method): result for result in read_results(folder)} for folder in folders]
    everywhere = [result for key, result in seeds[0].items() if all(key in seed for seed in seeds)]
    found: list[Seeded] = []
    for corpus, rows in in_order(everywhere).items():
        if any(result.method == BASE for result in rows):
            found += _of_corpus(corpus, [result for result in rows if result.method != BASE], seeds)
    if not found:
        raise InputError(f"{folders[-1]}: no row that all seeds have, beside the full model's")
    return found


def _of_corpus(corpus: str, rows: Sequence[Result], seeds: Sequence[dict[tuple[str, str], Result]]) -> list[Seeded]:
    base = [clips_of(seed[corpus, BASE].folder) for seed in seeds]
    speakers = base[0][1]
    measured = []
    for row in rows:
        ours = [clips_of(seed[corpus, row.method].folder)[0] for seed in seeds]
        for figure in PAIRED:
            pairs = [(mine[figure], full[figure]) for mine, (full, _) in zip(ours, base, strict=True)]
            of_each = tuple(compare(mine, full, speakers).mean for mine, full in pairs)
            averaged = (_mean([mine for mine, _ in pairs]), _mean([full for _, full in pairs]))
            measured.append((row, figure, compare(*averaged, speakers), of_each))
    asked = {f"{row.method}/{figure}": (row.method, difference.p) for row, figure, difference, _ in measured}
    ps = raised(asked, {row.method for row in rows})
    return [
        Seeded(
            corpus,
            row.method,
            figure,
            difference,
            of_each,
            ps[f"{row.method}/{figure}"],
            reason_why_empty(row, figure),
        )
        for row, figure, difference, of_each in measured
    ]


def _mean(seeds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each clip's mean over seeds; NaN if one seed does not count it."""
    return {clip: float(np.mean([seed.get(clip, np.nan) for seed in seeds])) for clip in seeds[0]}


def seeds_table(found: Sequence[Seeded], seeds: Sequence[int]) -> Table:
    """What `seeded` found."""
    groups = []
    for corpus in dict.fromkeys(each.corpus for each in found):
        rows: dict[str, list[Cell]] = {}
        for each in (each for each in found if each.corpus == corpus):
            rows.setdefault(each.method, [Cell(title_of(each.method))]).append(_cell(each))
        groups.append((corpus, [Row(cells, "ours") for cells in rows.values()]))
    columns = ["Method", *headings(PAIRED)]
    caption = f"Against {TITLES[BASE]}, trained from {len(seeds)} seeds ({', '.join(map(str, seeds))})"
    return Table(caption, columns, groups, NOTES)


def _cell(each: Seeded) -> Cell:
    decimals = FIGURES[each.figure].decimals
    cell = difference_cell(each.difference, decimals, each.holds, each.empty)
    if not cell.interval:
        return cell
    return Cell(cell.text, f"{cell.interval}; {', '.join(f'{mean:+.{decimals}f}' for mean in each.of_each)}")
