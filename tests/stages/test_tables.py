"""Tables and report from files made by hand: every figure in its cell, every empty cell with its reason."""

import csv
import html
import io
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avcat.errors import InputError
from avcat.metrics.figures import FIGURES
from avcat.metrics.results import encode_strip, from_json, read_results, to_json
from avcat.report import curves, report
from avcat.report.curves import learning_curves, read_curves
from avcat.report.grid import grid, read_strip
from avcat.report.report import write_report
from avcat.report.table import Cell, Row, Table, to_html, to_latex, to_markdown
from avcat.report.tables import glance_table, mouth_table, syncnet_table, table1
from avcat.study.table import table2
from pipelines.evaluate import CLIPS, Evaluation

METHODS = ("full", "ground-truth", "copy-reference")
CORPORA = ("synth-words", "synth-wild")


def figure(mean: Any, low: Any = 0.0, high: Any = 1.0, n: int = 8) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "n": n, "coverage": n / 8}


def evaluation(method: str, corpus: str) -> Evaluation:
    """SSIM about 0.9, different per method; no clip had its LMD counted."""
    place = METHODS.index(method)
    figures = {name: figure(0.5 + 0.1 * place, 0.4, 0.7) for name in FIGURES}
    figures["ssim"] = figure(0.98 - 0.01 * place, 0.91, 0.99)
    figures["lmd"] = figure(None, None, None, n=0)
    if method == "ground-truth":
        figures["psnr"] = figure("inf", "inf", "inf")
    metrics = {"method": method, "corpus": corpus, "clips": 8, "failed": 0, "frames": 240, "speakers": 4}
    metrics |= {"judge": "evaluator SyncNet", "opening_of_ceiling": 0.87, "figures": figures}
    metrics |= {"reasons": {}, "unmeasured": {"lpips": "no backbone", "official": "no official weights"}}
    for name in (name for name in FIGURES if name.startswith(("lpips", "lse_"))):
        figures[name] = figure(None, None, None, n=0)
    row: dict[str, Any] = dict.fromkeys(FIGURES, 0.5)
    row |= {
        "clip_id": "a1",
        "corpus": corpus,
        "speaker": "s",
        "method": method,
        "status": "ok",
        "reason": "",
        "frames": 5,
    }
    row |= {"opening_truth": [0.1, 0.2, math.nan, 0.3, 0.1], "opening": [0.1, 0.1 * place, 0.2, 0.3, 0.1]}
    row["sync_distances"] = [1.2, 0.9 + 0.1 * place, math.nan]
    return Evaluation(metrics, pa.Table.from_pylist([row], schema=CLIPS), {"a1": strip(place)})


def strip(place: int) -> bytes:
    return encode_strip(np.full((6, 64, 64, 3), 60 * place, np.uint8))


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    for method in METHODS:
        for corpus in CORPORA:
            evaluation(method, corpus).write(tmp_path / "evaluate" / method / corpus)
    (tmp_path / "syncnet").mkdir()
    lines = [
        "step,loss,val_two_way",
        *(f"{step},{1 / step},{0.9 if step % 100 == 0 else ''}" for step in range(1, 401)),
    ]
    (tmp_path / "syncnet" / "curves.csv").write_text("\n".join(lines) + "\n")
    heard = {"two_way": 0.97, **{f"right_at_{k}": 1 - 0.4 / k for k in (10, 2, 1)}}
    (tmp_path / "syncnet" / "metrics.json").write_text(json.dumps(heard))
    return tmp_path


def write(root: Path, name: str) -> Path:
    trainings = {"SyncNet": root / "syncnet", "AV-CAT full": root / "train" / "full"}
    write_report(root / name, root / "evaluate", trainings)
    return root / name


def test_how_finely_a_syncnet_hears_is_drawn_from_near_to_far(evaluated: Path) -> None:
    drawn: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "accuracy_by_shift", lambda _, lines: drawn.update(lines) or "<svg/>")
        page = (write(evaluated, "t") / "report.html").read_text()
    assert drawn == {"SyncNet": pytest.approx([0.6, 0.8, 0.96])}
    assert "How often the right sound wins" in page
    svg = curves.accuracy_by_shift("the right sound wins", drawn)
    assert "frames off" in svg
    assert svg == curves.accuracy_by_shift("the right sound wins", drawn)


def test_sound_in_step_is_averaged_over_the_clips_that_were_judged(evaluated: Path) -> None:
    drawn: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "distances_by_offset", lambda _, lines: drawn.update(lines) or "<svg/>")
        assert "Distance by offset, synth-words" in (write(evaluated, "t") / "report.html").read_text()
    assert drawn["AV-CAT (ours)"][:2] == [1.2, 0.9]
    assert math.isnan(drawn["AV-CAT (ours)"][2])
    assert "frames by which the sound leads" in curves.distances_by_offset("t", drawn)


def test_every_clip_is_a_dot_in_the_row_of_its_method() -> None:
    svg = curves.distributions("SSIM", {"one": [0.1, 0.5, 0.9], "none": []})
    assert svg == curves.distributions("SSIM", {"one": [0.1, 0.5, 0.9], "none": []})
    assert svg.count("<use") > 3
    assert ">one<" in svg


def test_table1_tells_ours_from_the_papers(evaluated: Path) -> None:
    table = table1(read_results(evaluated / "evaluate"))
    labels = [label for label, _ in table.groups]
    assert [label.split(" (")[0] for label in labels] == [
        "ours, synth-words",
        "paper, LRW",
        "ours, synth-wild",
        "paper, VoxCeleb",
    ]
    words = [[cell.text for cell in row.cells] for row in table.groups[0][1]]
    assert words[0] == ["AV-CAT (ours)", "8", "0.980", "0.50", "0.50", "n/a", "n/a", "0.50", "n/a", "0.500"]
    assert {"no backbone", "no official weights"} <= set(table.cell_notes())
    assert [row[0] for row in words] == ["AV-CAT (ours)", "Copy the reference", "Ground truth"]
    assert words[2][3] == "∞"
    lrw = {row.cells[0].text: [cell.text for cell in row.cells[2:]] for row in table.groups[1][1]}
    assert lrw["AV-CAT"] == ["0.938", "n/a", "36.34", "n/a", "2.83", "n/a", "6.0", "n/a"]
    assert lrw["Ground truth"] == ["1.000", "n/a", "100.00", "n/a", "0.00", "n/a", "6.5", "n/a"]


def test_a_figure_of_fewer_clips_than_its_row_says_of_how_many(evaluated: Path) -> None:
    path = evaluated / "evaluate" / "full" / "synth-words" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["figures"]["psnr"]["n"] = 5
    path.write_text(json.dumps(metrics))
    assert table1(read_results(evaluated / "evaluate")).groups[0][1][0].cells[3].interval == "0.40 to 0.70; N 5"


def test_an_evaluation_that_is_older_than_a_figure_leaves_its_cells_empty(evaluated: Path) -> None:
    folder = evaluated / "evaluate" / "full" / "synth-words"
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["figures"]["ssim"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    clips = pq.read_table(folder / "clips.parquet")
    pq.write_table(clips.drop_columns(["ssim"]), folder / "clips.parquet")
    written = write(evaluated, "t")
    row = next(line for line in (written / "table1.md").read_text().splitlines() if "AV-CAT (ours)" in line)
    assert row.split("|")[3].strip().startswith("n/a [")
    assert "this evaluation is older than the figure" in (written / "table1.md").read_text()


def test_rows_that_were_not_asked_for_stay_out(evaluated: Path) -> None:
    left = write_report(evaluated / "t", evaluated / "evaluate", {}, without=["full"])
    assert {result.method for result in left} == {"ground-truth", "copy-reference"}
    assert "AV-CAT (ours)" not in (evaluated / "t" / "table1.md").read_text()


def test_a_gate_that_stayed_shut_is_told(evaluated: Path) -> None:
    for name, gate in (("shut", 0.0), ("open", 1.0)):
        (evaluated / name).mkdir()
        (evaluated / name / "metrics.json").write_text(json.dumps({"in_step": gate}))
    write_report(evaluated / "t", evaluated / "evaluate", {name: evaluated / name for name in ("shut", "open")})
    text = (evaluated / "t" / "table1.md").read_text()
    assert "shut: trained without the sync loss" in text
    assert "open: trained" not in text


def test_a_row_without_pictures_of_these_clips_leaves_the_grids_to_the_others(evaluated: Path) -> None:
    theirs = evaluated / "evaluate" / "full" / "synth-words" / "strips" / "a1.png"
    theirs.unlink()
    folder = write(evaluated, "t")
    assert (folder / "grid-synth-words-1.jpg").exists()
    assert "none of AV-CAT (ours), which has no picture of these clips" in (folder / "report.html").read_text()


def test_table_2_says_that_nobody_has_rated_yet(evaluated: Path) -> None:
    write_report(evaluated / "t", evaluated / "evaluate", {}, table2(evaluated / "study"))
    text = (evaluated / "t" / "table2.md").read_text()
    assert re.search(r"\| AV-CAT \(ours\) +\| +n/a \[1\] \| +n/a \[1\] \| +n/a \[1\] \| +0 \|", text)
    assert "[1] no ratings yet: `avcat study build`" in text
    assert re.search(r"\| AV-CAT +\| +3.82 \| +4.30 \| +4.18 \|", text)
    assert r"\begin{tabular}{lrrrr}" in (evaluated / "t" / "table2.tex").read_text()
    assert "Table 2: user study" in (evaluated / "t" / "report.html").read_text()


def test_at_a_glance_is_ours_alone(evaluated: Path) -> None:
    table = glance_table(read_results(evaluated / "evaluate"))
    assert [label for label, _ in table.groups] == ["synth-words", "synth-wild"]
    first = table.groups[0][1][0]
    assert [cell.text for cell in first.cells] == ["AV-CAT (ours)", "8", "0.980", "n/a", "0.87", "0.50"]


def test_every_empty_cell_says_why(evaluated: Path) -> None:
    results = read_results(evaluated / "evaluate")
    for table in (table1(results), mouth_table(results), glance_table(results)):
        for _, rows in table.groups:
            for row in rows:
                assert len(row.cells) == len(table.headings)
                assert all(cell.note for cell in row.cells if cell.text == "n/a")


def test_without_an_evaluator_its_columns_say_so(evaluated: Path) -> None:
    path = evaluated / "evaluate" / "full" / "synth-words" / "metrics.json"
    metrics = json.loads(path.read_text()) | {"judge": ""}
    metrics["figures"]["sync_confidence"] = figure(None, None, None, n=0)
    path.write_text(json.dumps(metrics))
    table = table1(read_results(evaluated / "evaluate"))
    assert "no evaluator SyncNet was given" in table.cell_notes()


def test_files_are_the_same_twice(evaluated: Path) -> None:
    a, b = write(evaluated, "a"), write(evaluated, "b")
    names = sorted(path.name for path in a.iterdir())
    assert names == [
        *("glance.md", "grid-synth-wild-1.jpg", "grid-synth-words-1.jpg", "mouth.md", "mouth.tex", "paired.csv"),
        *("paired.md", "paired.tex", "report.html", "syncnet.md", "syncnet.tex"),
        *("table1.csv", "table1.md", "table1.tex"),
    ]
    assert all((a / name).read_bytes() == (b / name).read_bytes() for name in names)


def test_ablations_have_grids_of_their_own(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = evaluated / "evaluate" / "without-sync" / "synth-words"
    shutil.copytree(evaluated / "evaluate" / "full" / "synth-words", without)
    metrics = json.loads((without / "metrics.json").read_text())
    (without / "metrics.json").write_text(json.dumps(metrics | {"method": "without-sync"}))
    drawn: list[list[str]] = []
    monkeypatch.setattr(
        report.grid, "grid", lambda rows: drawn.append([label for label, _ in rows]) or np.zeros((8, 8, 3), np.uint8)
    )
    names = {path.name for path in write(evaluated, "t").glob("*.jpg")}
    assert names == {"grid-synth-words-1.jpg", "ablation-synth-words-1.jpg", "grid-synth-wild-1.jpg"}
    systems, parts, _ = drawn
    assert systems == ["Ground truth", "Copy the reference", "AV-CAT (ours)"]
    assert parts == ["Ground truth", "w/o Sync", "AV-CAT (ours)"]
    assert "Ablation, as in the paper&#x27;s figure 5: synth-words, clip 1" in (evaluated / "t/report.html").read_text()
    methods = {
        number: {row["method"] for row in csv.DictReader(io.StringIO((evaluated / f"t/table{number}.csv").read_text()))}
        for number in (1, 3)
    }
    assert {"w/o Sync", "Full Model", "without-sync", "full"} <= methods[3]
    assert not {"w/o Sync", "without-sync"} & methods[1]


def test_csv_holds_every_figure_of_both_sources(evaluated: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((write(evaluated, "t") / "table1.csv").read_text())))
    ours = [row for row in rows if row["source"] == "ours"]
    assert len(ours) == len(METHODS) * len(CORPORA) * len(FIGURES)
    (lmd,) = (r for r in ours if (r["data"], r["method"], r["figure"]) == ("synth-wild", "full", "lmd"))
    assert (lmd["mean"], lmd["n"], lmd["coverage"]) == ("", "0", "0")
    paper = {(r["data"], r["method"], r["figure"]): r["mean"] for r in rows if r["source"] == "paper"}
    assert paper["VoxCeleb", "MakeItTalk", "lmd"] == "29.13"


class Outline(HTMLParser):
    """Counts tags and notes what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_whole_and_needs_no_network(evaluated: Path) -> None:
    text = (write(evaluated, "t") / "report.html").read_text()
    outline = Outline(text)
    assert outline.open == []
    assert len(outline.sources) == 2 + 6 + 2 + 2 + 1 + 2  # grids, clips, in step, openings, hearing, curves
    assert all(source.startswith("data:image/") for source in outline.sources)
    assert "AV-CAT full: no curves.csv" in text
    assert str(evaluated) not in text


def test_syncnet_table_has_what_was_measured() -> None:
    table = syncnet_table({"loss": {"two_way": 0.97, "offset_zero": 1.0}, "AV-CAT": {"val_l1": 0.1}})
    ((_, (row,)),) = table.groups
    assert [cell.text for cell in row.cells] == ["loss", "0.970", "1.000", "n/a"]
    assert table.cell_notes() == ["this training did not measure it"]


def test_nothing_evaluated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no evaluation here"):
        write_report(tmp_path / "t", tmp_path, {})
    (tmp_path / "m" / "c").mkdir(parents=True)
    (tmp_path / "m" / "c" / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match=r"metrics\.json: not the metrics of an evaluation"):
        read_results(tmp_path)


TABLE = Table(
    "A & B",
    ["Method", "x_1 ↑"],
    [
        (
            "50 % <data>",
            [
                Row([Cell("m|n"), Cell("1.0", "0.9 to 1.1")], "ours"),
                Row([Cell("o"), Cell("n/a", note="lost")], "paper"),
            ],
        )
    ],
    ["a note"],
)


def test_markdown() -> None:
    assert to_markdown(TABLE).splitlines() == [
        "**A & B**",
        "",
        "| Method          |            x_1 ↑ |",
        "| :-------------- | ---------------: |",
        "| **50 % <data>** |                  |",
        r"| m\|n            | 1.0 (0.9 to 1.1) |",
        "| o               |          n/a [1] |",
        "",
        "[1] lost  ",
        "",
        "a note  ",
    ]


def test_latex_is_escaped_and_balanced() -> None:
    text = to_latex(TABLE)
    assert r"\caption{A \& B}" in text
    assert r"Method & x\_1 $\uparrow$ \\" in text
    assert r"50 \% <data>" in text
    assert r"m|n & 1.0 {\scriptsize (0.9 to 1.1)} \\" in text
    numbered = to_latex(Table("Table 1: B", ["a-b", "c"], [("x", [Row([Cell("-0.5"), Cell("1-2")], "ours")])]))
    assert r"\caption{B}" in numbered
    assert r"$-$0.5 & 1-2 \\" in numbered
    begun, ended = re.findall(r"\\begin{(\w+)}", text), re.findall(r"\\end{(\w+)}", text)
    assert begun == ended[::-1] == ["table", "tabular"]


def test_html_is_escaped() -> None:
    text = to_html(TABLE)
    assert html.escape("50 % <data>") in text
    assert "<td>n/a<sup>1</sup></td>" in text
    assert Outline(text).open == []


def test_json_of_figures_without_a_value() -> None:
    assert [to_json(value) for value in (1.5, math.nan, math.inf)] == [1.5, None, "inf"]
    assert math.isnan(from_json(to_json(math.nan)))
    assert from_json(to_json(math.inf)) == math.inf


def test_long_curves_are_averaged_over_equal_spans(tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text("step,loss,val\n1,4,\n2,2,0.5\n3,3,\n")
    curves = read_curves(tmp_path / "curves.csv")
    assert [v.tolist() for v in curves["loss"]] == [[1, 2, 3], [4, 2, 3]]
    assert [v.tolist() for v in curves["val"]] == [[2], [0.5]]
    assert learning_curves("t", curves) == learning_curves("t", curves)
    (tmp_path / "curves.csv").write_text("step,loss\n1,many\n")
    with pytest.raises(InputError, match="not a table of curves"):
        read_curves(tmp_path / "curves.csv")


def test_a_grid_shows_each_row_twice(tmp_path: Path) -> None:
    (tmp_path / "s.png").write_bytes(strip(2))
    pictures = read_strip(tmp_path / "s.png")
    assert [p.shape for p in pictures] == [(64, 64, 3)] * 6
    image = grid([("truth", pictures), ("ours", pictures)])
    assert image.shape == (2 * (22 + 164) + 2 * (22 + 84) + 22 + 164, 6 * 164 - 4, 3)
    assert (image[22:182, :160] == 120).all()
    assert image[-164:-4, :160].max() < 10, "no error is black"
    darker = [picture - 64 for picture in pictures]
    assert grid([("truth", pictures), ("darker", darker)])[-100, 80].min() > 150, "64 of 255 is the brightest"
    (tmp_path / "s.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="not a strip"):
        read_strip(tmp_path / "s.png")
