"""Table 2: mean opinion scores, agreement between raters, and agreement of each rater with themselves."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from avcat.files import write
from avcat.metrics.figures import NOT_SAID
from avcat.metrics.summary import Summary, summarise
from avcat.report.paper import TABLE2
from avcat.report.table import EMPTY, Cell, Row, Table, csv_text, to_latex, to_markdown
from avcat.report.tables import CSV_HEADINGS, TITLES, figure_cell, number, title_of
from avcat.study.plan import FILE, QUESTIONS, RATINGS, Study, order_for, read_study
from avcat.study.ratings import Rating, read_ratings

SAMPLES, SEED = 2000, 0  # of the bootstrap
ALL = "all clips"

NO_RATINGS = "no ratings yet: `avcat study build` renders the clips, `avcat study serve` asks people (docs/study.md)"
NOT_RATED = "no rating yet"
TOO_FEW = "no clip has been rated by two people, or all ratings are the same"
NO_REPEATS = "no rater has reached a repeated clip yet"

NOTES = (
    "Mean opinion scores, 1 (bad) to 5 (excellent), with a 95 % bootstrap interval over raters; first presentations "
    "only. Ratings: answers to each question.",
    "Cross-video setting: the sound is of another person's test clip. Ground truth: the clip that the sound comes "
    "from, unchanged, so another person is seen; it shows how these raters rate real clips.",
    "The paper's scores are of other clips and other people: they do not compare with ours.",
)
AGREEMENT_NOTES = (
    "Alpha: Krippendorff's, for an interval scale, over clips: 1 if all raters agree, 0 if they agree no "
    "more than by chance.",
    "Repeats: clips that a rater saw a second time, unannounced. Same: share of them with the same answer; "
    "difference: mean distance of the two answers.",
)


@dataclass(frozen=True)
class Agreement:
    """Reliability of the answers to one question; NaN if there is no data."""

    alpha: float
    repeats: int  # pairs of answers by the same person to the same clip
    same: float  # share of those pairs that are equal
    difference: float  # mean distance within those pairs


@dataclass(frozen=True)
class Opinions:
    """Results of a study. `scores`: (clips, method, question) -> figure, clips being `ALL` or a corpus."""

    methods: tuple[str, ...]
    raters: int  # who have rated at least one clip
    finished: int  # who have rated all of them
    scores: Mapping[tuple[str, str, str], Summary]
    agreement: Mapping[str, Agreement]  # by question


def opinions(study: Study, ratings: Sequence[Rating]) -> Opinions:
    """The figures of all ratings."""
    clips = {clip.clip: clip for clip in study.clips}
    first = [rating for rating in ratings if rating.presentation == 0]
    scores = {}
    for corpus in (ALL, *sorted({clip.corpus for clip in study.clips})):
        for method in study.methods:
            for question in QUESTIONS:
                chosen = [
                    rating
                    for rating in first
                    if rating.question == question.key
                    and clips[rating.clip].method == method
                    and corpus in (ALL, clips[rating.clip].corpus)
                ]
                values, raters = [rating.value for rating in chosen], [rating.rater for rating in chosen]
                scores[corpus, method, question.key] = summarise(values, raters, SAMPLES, SEED)
    answered = Counter(rating.rater for rating in ratings)
    whole = len(QUESTIONS) * len(order_for("", list(clips)))
    return Opinions(
        study.methods,
        len(answered),
        sum(count == whole for count in answered.values()),
        scores,
        {question.key: _agreement([r for r in ratings if r.question == question.key]) for question in QUESTIONS},
    )


def _agreement(ratings: Sequence[Rating]) -> Agreement:
    """Agreement of the answers to one question."""
    once = {(rating.rater, rating.clip): rating.value for rating in ratings if rating.presentation == 0}
    units: dict[str, list[int]] = {}
    for (_, clip), value in once.items():
        units.setdefault(clip, []).append(value)
    off = [
        abs(rating.value - once[rating.rater, rating.clip])
        for rating in ratings
        if rating.presentation and (rating.rater, rating.clip) in once
    ]
    same, difference = (float(np.mean(np.equal(off, 0))), float(np.mean(off))) if off else (math.nan, math.nan)
    return Agreement(krippendorff_alpha(units.values()), len(off), same, difference)


def krippendorff_alpha(units: Iterable[Sequence[float]]) -> float:
    """Krippendorff's alpha of an interval scale; `units`: for each thing that was rated, the values it was given.

    1 - observed over expected disagreement, both mean squared differences of pairs: within units, each unit weighted
    by its number of values, and within all values together (K. Krippendorff, Content Analysis, chapter 11). Raters may
    miss units; units with one value do not count. NaN if no two values can be compared, or all are the same.
    """
    compared = [np.asarray(unit, np.float64) for unit in units if len(unit) > 1]
    if not compared:
        return math.nan
    pooled = np.concatenate(compared)
    # The mean squared difference of all ordered pairs of n values is twice their variance with n - 1.
    expected = 2 * pooled.var(ddof=1)
    observed = sum(2 * unit.size * unit.var(ddof=1) for unit in compared) / pooled.size
    return float(1 - observed / expected) if expected else math.nan


def table2(folder: Path) -> Table:
    """Table 2 of the study in `folder`; without a study or ratings, the table states how to get them.

    Raises InputError if a file of the study is damaged.
    """
    ours, label = _ours(folder)
    paper = [
        Row(
            [
                Cell(row.method),
                *(Cell(f"{v:.2f}") for v in (row.sync, row.quality, row.realness)),
                Cell(EMPTY, note=NOT_SAID),
            ],
            "paper",
        )
        for row in TABLE2
    ]
    headings = ["Method", *(f"{question.title} ↑" for question in QUESTIONS), "Ratings"]
    groups = [(label, ours), ("paper, 15 raters (other clips, other people)", paper)]
    return Table("Table 2: user study, mean opinion scores", headings, groups, NOTES)


def _ours(folder: Path) -> tuple[list[Row], str]:
    rated = (folder / RATINGS).exists()
    study = read_study(folder) if rated or (folder / FILE).exists() else None
    found = _read(folder, study) if study and rated else None
    if found is None or not found.raters:
        nothing = [Cell(EMPTY, note=NO_RATINGS) for _ in QUESTIONS]
        names = [title_of(method) for method in _ordered(study.methods)] if study else [TITLES["full"]]
        return [Row([Cell(name), *nothing, Cell("0")], "ours") for name in names], "ours"
    rows = []
    for method in _ordered(found.methods):
        scores = [found.scores[ALL, method, question.key] for question in QUESTIONS]
        cells = (figure_cell(score, 2, NOT_RATED, score.n) for score in scores)
        rows.append(Row([Cell(title_of(method)), *cells, Cell(str(scores[0].n))], "ours"))
    return rows, f"ours, {_raters(found)}"


def agreement_table(found: Opinions) -> Table:
    """Agreement of raters with each other and with themselves, one row per question."""
    rows = []
    for question in QUESTIONS:
        a = found.agreement[question.key]
        values = [
            number(a.alpha, 2, TOO_FEW),
            Cell(str(a.repeats)),
            number(a.same, 2, NO_REPEATS),
            number(a.difference, 2, NO_REPEATS),
        ]
        rows.append(Row([Cell(question.title), *values], "ours"))
    headings = ["Question", "Alpha ↑", "Repeats", "Same ↑", "Difference ↓"]
    return Table("How far raters agree", headings, [(_raters(found), rows)], AGREEMENT_NOTES)


def to_csv(found: Opinions) -> str:
    """All figures, one per line, with the columns of Table 1's CSV; also for each corpus separately."""
    lines: list[tuple[str | float, ...]] = [
        ("ours", *key, score.mean, score.low, score.high, score.n, "") for key, score in found.scores.items()
    ]
    single = {f"{q}_{name}": value for q, a in found.agreement.items() for name, value in asdict(a).items()}
    single |= {"raters": found.raters, "finished": found.finished}
    lines += [("ours", ALL, "", name, value, *[""] * 4) for name, value in single.items()]
    for row in TABLE2:
        scores = {"sync": row.sync, "quality": row.quality, "realness": row.realness}
        lines += [("paper", ALL, row.method, name, str(value), *[""] * 4) for name, value in scores.items()]
    return csv_text(CSV_HEADINGS, lines)


def write_tables(folder: Path) -> list[Table]:
    """Writes `table2` and `agreement` as Markdown and LaTeX and `table2.csv` into the study's folder; returns the two.

    Raises InputError if there is no study.
    """
    study = read_study(folder)
    found = _read(folder, study) if (folder / RATINGS).exists() else opinions(study, [])
    tables = {"table2": table2(folder), "agreement": agreement_table(found)}
    for name, table in tables.items():
        for suffix, text in ((".md", to_markdown(table)), (".tex", to_latex(table))):
            write(folder / f"{name}{suffix}", text)
    write(folder / "table2.csv", to_csv(found))
    return list(tables.values())


def _read(folder: Path, study: Study) -> Opinions:
    return opinions(study, read_ratings(folder / RATINGS, (clip.clip for clip in study.clips)))


def _raters(found: Opinions) -> str:
    people = "1 rater" if found.raters == 1 else f"{found.raters} raters"
    return f"{people}, {found.finished} of them to the end"


def _ordered(methods: Iterable[str]) -> list[str]:
    """The order of the other tables; methods unknown to them come first."""
    order = list(TITLES)
    return sorted(methods, key=lambda method: (order.index(method) if method in order else -1, method))
