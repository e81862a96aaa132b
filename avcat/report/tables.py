"""Which figures are in which table: Table 1 of the paper, and how the mouth follows the sound."""

import math
from collections.abc import Iterable, Mapping, Sequence

from avcat.metrics.figures import FIGURES, GLANCE, MOUTH, NOT_SAID, NOT_USED, TABLE1, Figure, headings
from avcat.metrics.paired import Difference
from avcat.metrics.results import BOUNDS, COPY_REFERENCE, GROUND_TRUTH, Result
from avcat.metrics.summary import Summary
from avcat.report import paper
from avcat.report.paper import COUNTERPART, PRINTED_DECIMALS, TABLE3, PaperRow
from avcat.report.table import EMPTY, Cell, Row, Table, csv_text

# Titles of rows, in the order of the tables. Another row has its name in params.yaml as its title, before the bounds.
TITLES = {
    "wav2lip": "Wav2Lip",
    "wav2lip_l": "Wav2Lip-L",
    "makeittalk": "MakeItTalk",
    "pc_avs": "PC-AVS",
    "rn-only": "RN only",
    "without-rn": "w/o RN",
    "wav2lip_l-rn": "Wav2Lip-L + RN",
    "without-sync": "w/o Sync",
    "full": "AV-CAT (ours)",
    COPY_REFERENCE: "Copy the reference",
    GROUND_TRUTH: "Ground truth",
}
ABLATIONS = ("rn-only", "without-rn", "wav2lip_l-rn", "without-sync")
IN_TABLE3 = (*TABLE3, "wav2lip_l")  # which the paper's text compares with those of the table

CSV_HEADINGS = ("source", "data", "method", "figure", "mean", "low", "high", "n", "coverage")
SYNCNET_FIGURES = (
    ("Two-way accuracy ↑", "two_way"),
    ("Offset ±1 ↑", "offset_zero"),
    ("Planted offset ↑", "planted_exact"),
)

LIKE_FOR_LIKE = (
    "Rows share shards, steps and batches, not time; a method's own losses, and what it starts from, are its own: "
    "docs/baselines.md lists what differs."
)
TABLE1_NOTES = (
    "All of ours are trained on the same data; the paper does not state who trained its peers. "
    "Ours: self-reconstruction with the first frame as reference, which is not scored; means over clips with a 95 % "
    "bootstrap interval over speakers; 256 px crops before H.264. AV-CAT, its ablations and the copy (which puts the "
    "masked region of the first frame into every other) keep the true picture outside the mask; Wav2Lip, MakeItTalk "
    "and PC-AVS draw the whole crop, as published, which costs them SSIM and PSNR.",
    "Ours and the paper's figures come from other data, other faces and another SyncNet: they are not comparable. The "
    "paper's PSNR is most probably that of 8-bit differences that wrap (its ground truth scores 100), so it is in "
    "that column.",
    "LPIPS: AlexNet's. LMD: mean distance of the 20 mouth points in px of the 256 crop, not centred. Sync_conf: median "
    "minus smallest mean distance over all shifts; by an evaluator SyncNet trained apart from the one in the loss (on "
    "other speakers, too, in paper and gpu; small profiles have too few), whose embeddings have length one (so never "
    "above 2), and by the official SyncNet (LSE-C), which the paper prints. Coverage: share of the scored frames in "
    "which Face Mesh found both faces.",
    "A Sync_conf above the ground truth's means that this SyncNet scores the method higher than real speech: it is "
    "weak, or too similar to the SyncNet that trained the method. The copy's, with a mouth that does not move, is the "
    "score of a still mouth: short words may fit it best at the edge of the shifts.",
    LIKE_FOR_LIKE,
)
TABLE3_NOTES = (
    "RN only: the Refinement Network alone, on the masked frame and the reference. w/o RN: the backbone's own picture. "
    "Wav2Lip-L + RN: the wider Wav2Lip in the backbone's place; Wav2Lip-L beside it is that network alone. w/o Sync: "
    "the same network, trained without the sync loss. Each is trained with as many steps and clips as the full model.",
)
GLANCE_NOTES = (
    "r / ceiling: how the mouth's opening follows the truth, as a share of what the true frames reach at the network's "
    "picture size. LMD in px of the 256 crop: compare it with the copy's.",
)
MOUTH_NOTES = (
    "Opening r: Pearson correlation of the mouth opening (inner-lip gap over the distance of the eyes, Face Mesh) with "
    "the truth's, per clip, averaged. Its ceiling: what the true frames reach at the network's picture size. "
    "Amplitude: standard deviation of the opening over the truth's.",
    "In the box of the true mouth, grown by half. Detail: energy of what a blur of 2 px (of 256) removes, over the "
    "truth's; 1 is as sharp. Motion: way of the mouth's points beside its middle, over the truth's. Flicker: mean "
    "change between frames, in levels, where the truth changes by no more than 2.",
    "Offset ±1: fraction of clips whose best shift of the sound is -1, 0 or 1 frames. Shifts are averaged over the "
    "windows that have sound; with few windows the confidence is noise.",
    "Official: the official SyncNet's protocol, which compares with zeros outside the clip. Its offset is the mean in "
    "frames, positive if the sound leads.",
)

SYNCNET_NOTES = (
    "Two-way: how often the right sound is closer than one of the same clip at least 5 frames away (chance 0.5). "
    "Offset ±1: share of clips for which -1, 0 or 1 frames are found. Planted: share of clips whose sound was moved by "
    "1 to 10 frames and for which exactly that is found.",
)

NO_JUDGE = "no evaluator SyncNet was given"
NOT_COUNTED = "no clip could be counted"
NO_DIFFERENCE = "no clip has a finite figure in both rows"
NO_CEILING = "no correlation or no ceiling was counted"
OLDER = "this evaluation is older than the figure: evaluate again"
NOT_MEASURED = "this training did not measure it"


def table1(results: Sequence[Result], notes: Sequence[str] = ()) -> Table:
    """Table 1: our methods on every corpus, and the paper's rows on the set that the corpus stands for.

    `notes`: on these trainings, below the usual ones.
    """
    columns = ["Method", "N", *headings(TABLE1)]
    groups: list[tuple[str, list[Row]]] = []
    for corpus, members in in_order(results).items():
        rows = [_row(result, TABLE1) for result in members if result.method not in ABLATIONS]
        groups.append((f"ours, {corpus}", rows))
        if corpus in COUNTERPART:
            name = COUNTERPART[corpus]
            groups.append(
                (f"paper, {name} (other data, official SyncNet)", [_paper_row(row) for row in paper.TABLE1[name]])
            )
    return Table("Table 1: quantitative results", columns, groups, (*TABLE1_NOTES, *notes))


def table3(results: Sequence[Result], notes: Sequence[str] = ()) -> Table:
    """Table 3: what is missing without a part, on every corpus; the paper's rows, which are on VoxCeleb, first.

    `notes` as for `table1`.
    """
    columns = ["Method", "N", *headings(TABLE1)]
    groups = [("paper, VoxCeleb (other data, official SyncNet)", [_paper_row(row) for row in TABLE3.values()])]
    for corpus, members in in_order(results).items():
        rows = [_row(result, TABLE1) for result in members if result.method in IN_TABLE3]
        groups.append((f"ours, {corpus}", rows))
    return Table("Table 3: ablation", columns, groups, (*TABLE3_NOTES, *notes))


def glance_table(results: Sequence[Result]) -> Table:
    """The main figures, only of ours: narrow enough for a terminal."""
    *first, last = headings(GLANCE)
    columns = ["Method", "N", *first, "r / ceiling ↑", last]
    groups = []
    for corpus, members in in_order(results).items():
        rows = []
        for result in members:
            cells = _row(result, GLANCE).cells
            share = number(result.opening_of_ceiling, 2, NO_CEILING)
            plain = [Cell(cell.text, note=cell.note) for cell in (*cells[:-1], share, cells[-1])]
            rows.append(Row(plain, "ours"))
        groups.append((corpus, rows))
    return Table("At a glance", columns, groups, GLANCE_NOTES)


def mouth_table(results: Sequence[Result]) -> Table:
    """How the mouth follows the sound, only of ours: the paper prints none of it."""
    columns = ["Method", "N", "r / ceiling ↑", *headings(MOUTH)]
    groups = []
    for corpus, members in in_order(results).items():
        rows = []
        for result in members:
            method, n, *figures = _row(result, MOUTH).cells
            share = number(result.opening_of_ceiling, 2, NO_CEILING)
            rows.append(Row([method, n, share, *figures], "ours"))
        groups.append((f"ours, {corpus}", rows))
    return Table("How the mouth follows the sound", columns, groups, MOUTH_NOTES)


def syncnet_table(trainings: Mapping[str, Mapping[str, float]]) -> Table:
    """How well the SyncNets work on people they have never seen; `trainings` are (name, figures of `metrics.json`)."""
    rows = []
    for name, figures in trainings.items():
        if SYNCNET_FIGURES[0][1] in figures:
            values = (number(figures.get(key, math.nan), 3, NOT_MEASURED) for _, key in SYNCNET_FIGURES)
            rows.append(Row([Cell(name), *values], "ours"))
    columns = ["Network", *(heading for heading, _ in SYNCNET_FIGURES)]
    return Table(
        "SyncNet on people it has never seen", columns, [("test speakers of all corpora", rows)], SYNCNET_NOTES
    )


def table1_csv(results: Sequence[Result]) -> str:
    """The rows of Table 1 with every figure there is, and the paper's; see `_csv`."""
    data = dict.fromkeys(COUNTERPART[r.corpus] for r in results if r.corpus in COUNTERPART)
    return _csv([r for r in results if r.method not in ABLATIONS], {name: paper.TABLE1[name] for name in data})


def table3_csv(results: Sequence[Result]) -> str:
    """The rows of Table 3 with every figure there is, and the paper's; see `_csv`."""
    return _csv([r for r in results if r.method in IN_TABLE3], {"VoxCeleb": tuple(TABLE3.values())})


def _csv(results: Sequence[Result], papers: Mapping[str, Sequence[PaperRow]]) -> str:
    """One figure per line, with `CSV_HEADINGS`."""
    lines: list[tuple[str | float, ...]] = [
        ("ours", result.corpus, result.method, name, s.mean, s.low, s.high, s.n, s.coverage)
        for result in results
        for name, s in result.figures.items()
    ]
    for data, rows in papers.items():
        for row in rows:
            printed = {"ssim": row.ssim, "psnr_as_printed": row.psnr, "lmd": row.lmd, "lse_c": row.sync_confidence}
            lines += [("paper", data, row.method, name, str(value), *[""] * 4) for name, value in printed.items()]
    return csv_text(CSV_HEADINGS, lines)


def title_of(method: str) -> str:
    """Of a row, in tables and pictures."""
    return TITLES.get(method, method)


def place_of(method: str) -> tuple[float, str]:
    """Sorts methods in the order of `TITLES`, those that it does not name before the two bounds."""
    order = list(TITLES)
    return order.index(method) if method in order else order.index(BOUNDS[0]) - 0.5, method


def in_order(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results on each corpus, in the order of `place_of`."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.corpus, []).append(result)
    return {corpus: sorted(rows, key=lambda row: place_of(row.method)) for corpus, rows in found.items()}


def _row(result: Result, names: Sequence[str]) -> Row:
    counted = f"{result.clips - result.failed}"
    left_out = ", ".join(f"{count}: {reason}" for reason, count in result.reasons.items())
    cells = [
        Cell(title_of(result.method)),
        Cell(
            counted if not result.failed else f"{counted} of {result.clips}",
            note=f"clips of {result.method} that could not be used: {left_out}" if left_out else "",
        ),
    ]
    cells += [
        figure_cell(
            result.figure(name), FIGURES[name].decimals, reason_why_empty(result, name), result.clips - result.failed
        )
        for name in names
    ]
    return Row(cells, "ours")


def reason_why_empty(result: Result, figure: str) -> str:
    """The text of the cell if a result lacks a figure."""
    if figure not in result.figures:
        return OLDER
    judge = FIGURES[figure].judge
    if judge == "evaluator" and not result.judge:
        return NO_JUDGE
    return result.unmeasured.get(judge, NOT_COUNTED)


def difference_cell(difference: Difference, decimals: int, beyond_chance: bool, why_empty: str) -> Cell:
    """A signed mean with its interval, marked if it is more than chance."""
    if math.isnan(difference.mean):
        return Cell(EMPTY, note=NO_DIFFERENCE if why_empty == NOT_COUNTED else why_empty)
    mean, low, high = (f"{value:+.{decimals}f}" for value in (difference.mean, difference.low, difference.high))
    return Cell(mean + (" *" if beyond_chance else ""), interval=f"{low} to {high}")


def _paper_row(row: PaperRow) -> Row:
    def cell(figure: Figure) -> Cell:
        if figure.paper_empty or not figure.paper:
            return Cell(EMPTY, note=figure.paper_empty or NOT_USED)
        return Cell(f"{getattr(row, figure.paper):.{PRINTED_DECIMALS[figure.paper]}f}")

    cells = (cell(FIGURES[name]) for name in TABLE1)
    return Row([Cell(row.method), Cell(EMPTY, note=NOT_SAID), *cells], "paper")


def figure_cell(summary: Summary, decimals: int, reason: str, clips: int) -> Cell:
    """Mean and interval, and of how many clips if that is not the row's N."""
    cell = number(summary.mean, decimals, reason)
    if cell.note:
        return cell
    low, high = (f"{value:.{decimals}f}" for value in (summary.low, summary.high))
    said = [] if low == high or not math.isfinite(summary.mean) else [f"{low} to {high}"]
    said += [] if summary.n == clips else [f"N {summary.n}"]
    return Cell(cell.text, interval="; ".join(said))


def number(value: float, decimals: int, reason: str) -> Cell:
    """A figure without an interval, or why there is none."""
    if math.isnan(value):
        return Cell(EMPTY, note=reason)
    return Cell("∞" if math.isinf(value) else f"{value:.{decimals}f}")
