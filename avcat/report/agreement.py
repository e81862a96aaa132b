"""Whether rows compare with the full model as they do in the paper, figure by figure."""

import math
from collections.abc import Sequence

from avcat.metrics.figures import AGREEMENT, FIGURES
from avcat.metrics.paired import FEWEST_SPEAKERS, LEVEL
from avcat.metrics.results import BASE, GROUND_TRUTH
from avcat.report.paired import Compared
from avcat.report.paper import COUNTERPART, TABLE1, TABLE3, PaperRow
from avcat.report.table import EMPTY, Cell, Row, Table
from avcat.report.tables import TITLES, title_of

SAME, OPPOSITE, WITHIN, EQUAL = "as in the paper", "the opposite", "within chance", "no difference in the paper"
UNTESTED = f"fewer than {FEWEST_SPEAKERS} speakers: not tested"
NOTES = (
    f'"{SAME}": the row is on the same side of the full model as in the paper, beyond chance (the test of the table '
    f'above). "{OPPOSITE}": on the other side, beyond chance. "{WITHIN}": ours is too small a difference to say. '
    "Systems against the paper's Table 1, on the set that a corpus stands for; ablations against Table 3, on VoxCeleb. "
    "The paper's Sync_conf is the official SyncNet's.",
)


def agreement_table(found: Sequence[Compared]) -> Table:
    """A verdict for every row and figure that the paper prints, of differences as `paired.compared` finds them."""
    groups = []
    for corpus in dict.fromkeys(each.corpus for each in found):
        ours = {(each.method, each.figure): each for each in found if each.corpus == corpus}
        rows = []
        for method, (row, full) in _printed(corpus).items():
            if any(key[0] == method for key in ours):
                cells = [
                    _cell(ours[method, name], getattr(row, FIGURES[name].paper) - getattr(full, FIGURES[name].paper))
                    for name in AGREEMENT
                ]
                rows.append(Row([Cell(title_of(method)), *cells], "ours"))
        if rows:
            groups.append((corpus, rows))
    return Table(
        "Does the order agree with the paper's?",
        ["Method", *(FIGURES[name].title for name in AGREEMENT)],
        groups,
        NOTES,
    )


def _printed(corpus: str) -> dict[str, tuple[PaperRow, PaperRow]]:
    """By our name of a method: the paper's row, and the full model's row of the same table."""
    printed = {}
    if corpus in COUNTERPART:
        table = {row.method: row for row in TABLE1[COUNTERPART[corpus]]}
        names = {name: method for method, name in TITLES.items()}
        printed = {names[name]: (row, table["AV-CAT"]) for name, row in table.items() if name in names}
    ablations = {method: (row, TABLE3[BASE]) for method, row in TABLE3.items() if method != BASE}
    return {method: pair for method, pair in (printed | ablations).items() if method != GROUND_TRUTH}


def _cell(ours: Compared, papers: float) -> Cell:
    if ours.difference.n == 0:
        return Cell(EMPTY, note=ours.empty)
    if papers == 0:
        return Cell(EQUAL)
    if math.isnan(ours.p_adjusted):
        return Cell(EMPTY, note=UNTESTED)
    if not ours.p_adjusted < LEVEL:
        return Cell(WITHIN)
    return Cell(SAME if (ours.difference.mean > 0) == (papers > 0) else OPPOSITE)
