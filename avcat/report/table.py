"""One table, written as Markdown, LaTeX and HTML, or as CSV. The reason of an empty cell is a note below the table."""

import csv
import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EMPTY = "n/a"

NUMBERED = re.compile(r"^Table \d+: ")
NEGATIVE = re.compile(r"(?<![\w-])-(?=\d)")  # a minus, not the hyphen of a range or a word
LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "$": r"\$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "∞": r"$\infty$",
        "±": r"$\pm$",
    }
)


@dataclass(frozen=True)
class Cell:
    """A figure, its 95 % interval if it has one, and the reason if it is empty."""

    text: str
    interval: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One method. `source` separates our own measurements ("ours") from printed ones ("paper")."""

    cells: Sequence[Cell]
    source: str


@dataclass(frozen=True)
class Table:
    """Rows below headings; `groups` are (label, rows), one for each set of data."""

    caption: str
    headings: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Row]]]
    notes: Sequence[str] = ()

    def cell_notes(self) -> list[str]:
        """The reasons of empty cells, in the order in which they first occur; cells refer to them by number."""
        cells = (cell for _, rows in self.groups for row in rows for cell in row.cells)
        return list(dict.fromkeys(cell.note for cell in cells if cell.note))


def csv_text(headings: Sequence[str], rows: Iterable[Sequence[str | float]]) -> str:
    """Lines of cells; fractions with six digits, NaN as an empty cell."""

    def text(cell: str | float) -> str:
        if isinstance(cell, float):
            return "" if math.isnan(cell) else f"{cell:.6g}"
        return str(cell)

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([headings, *(map(text, row) for row in rows)])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """A pipe table with the group as a bold row, notes below; its columns line up in plain text."""
    reasons = table.cell_notes()

    def text(cell: Cell) -> str:
        interval = f" ({cell.interval})" if cell.interval else ""
        return cell.text + interval + (f" [{reasons.index(cell.note) + 1}]" if cell.note else "")

    rows = [list(table.headings)]
    for label, members in table.groups:
        rows.append([f"**{label}**"] + [""] * (len(table.headings) - 1))
        rows += [[text(cell) for cell in row.cells] for row in members]
    lines = [f"**{table.caption}**", "", *_pipes(rows)]
    lines += ["", *(f"[{number}] {reason}  " for number, reason in enumerate(reasons, 1))] if reasons else []
    lines += ["", *(f"{note}  " for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def _pipes(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a pipe table, the first row its headings; the first column leans left, the others right."""
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    first, *others = (max(3, *map(len, column)) for column in zip(*escaped, strict=True))
    rule = [":" + "-" * (first - 1), *("-" * (width - 1) + ":" for width in others)]
    padded = [[row[0].ljust(first), *map(str.rjust, row[1:], others)] for row in escaped]
    return [f"| {' | '.join(row)} |" for row in (padded[0], rule, *padded[1:])]


def to_latex(table: Table) -> str:
    """A `table` environment for booktabs."""
    reasons = table.cell_notes()

    def text(cell: Cell) -> str:
        interval = f" {{\\scriptsize ({_tex(cell.interval)})}}" if cell.interval else ""
        return (
            _tex(cell.text) + interval + (f"\\textsuperscript{{{reasons.index(cell.note) + 1}}}" if cell.note else "")
        )

    width = len(table.headings)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(NUMBERED.sub('', table.caption))}}}",  # LaTeX numbers tables itself
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
    ]
    lines += [r"\toprule", " & ".join(map(_tex, table.headings)) + r" \\"]
    for label, rows in table.groups:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_tex(label)}}}}} \\"]
        lines += [" & ".join(text(cell) for cell in row.cells) + r" \\" for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {number}: {_tex(reason)}" for number, reason in enumerate(reasons, 1)]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _tex(text: str) -> str:
    return NEGATIVE.sub("$-$", text.translate(LATEX_ESCAPES))


def to_html(table: Table) -> str:
    """The table, without its caption, in a wrapper that scrolls sideways on narrow screens, and the notes below."""
    reasons = table.cell_notes()

    def text(cell: Cell) -> str:
        mark = f"<sup>{reasons.index(cell.note) + 1}</sup>" if cell.note else ""
        interval = f"<small>{html.escape(cell.interval)}</small>" if cell.interval else ""
        return html.escape(cell.text) + mark + interval

    parts = ['<div class="scroll"><table><thead><tr>']
    parts += [f'<th scope="col">{_heading(heading)}</th>' for heading in table.headings] + ["</tr></thead>"]
    for label, rows in table.groups:
        parts.append(f'<tbody><tr class="group"><th colspan="{len(table.headings)}">{html.escape(label)}</th></tr>')
        for row in rows:
            first, *rest = (text(cell) for cell in row.cells)
            data = "".join(f"<td>{cell}</td>" for cell in rest)
            parts.append(f'<tr class="{row.source}"><th scope="row">{first}</th>{data}</tr>')
        parts.append("</tbody>")
    parts.append("</table></div>")
    parts += [
        f'<p class="note"><sup>{number}</sup> {html.escape(reason)}</p>' for number, reason in enumerate(reasons, 1)
    ]
    parts += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    return "\n".join(parts)


def _heading(text: str) -> str:
    """Wraps between words, but not before the arrow that shows which direction is better."""
    return html.escape(text).replace(" ↑", "&nbsp;↑").replace(" ↓", "&nbsp;↓")
