"""Rows against the full model: planted differences are found, with their sign, and marked if beyond chance."""

import math
from pathlib import Path

import pytest
from test_report_seeds import SPEAKERS, result

from avcat.metrics.results import Result, read_results
from avcat.report.paired import BASE, Compared, compared, paired_csv, paired_table, raised
from avcat.report.table import to_markdown
from avcat.report.tables import table3


@pytest.fixture
def results(tmp_path: Path) -> list[Result]:
    """SSIM is lower by 0.1 without sync and the same with RN only; LMD is higher by 1."""
    result(tmp_path, BASE, ssim=0.9, lmd=2.0)
    result(tmp_path, "without-sync", ssim=0.8, lmd=3.0)
    result(tmp_path, "rn-only", ssim=0.9, lmd=3.0)
    result(tmp_path, "ground-truth", ssim=1.0, lmd=0.0)
    result(tmp_path, "theirs", ssim=0.5, lmd=9.0)
    return read_results(tmp_path)


def found_in(results: list[Result]) -> dict[tuple[str, str], Compared]:
    return {(each.method, each.figure): each for each in compared(results)}


def test_a_difference_is_the_rows_figure_less_the_full_models(results: list[Result]) -> None:
    found = found_in(results)
    lower = found["without-sync", "ssim"]
    assert lower.difference.mean == pytest.approx(-0.1)
    assert (lower.difference.n, lower.difference.speakers) == (SPEAKERS, SPEAKERS)
    assert lower.difference.p == pytest.approx(2 / 2**SPEAKERS)
    assert lower.p_adjusted < 0.05
    assert found["without-sync", "lmd"].difference.mean == pytest.approx(1.0)
    assert found["rn-only", "ssim"].difference.p == 1
    assert (BASE, "ssim") not in found


def test_the_table_marks_what_is_beyond_chance(results: list[Result]) -> None:
    table = paired_table(compared(results))
    rows = {row.cells[0].text: [cell.text for cell in row.cells] for row in table.groups[0][1]}
    ssim, lmd = table.headings.index("SSIM ↑"), table.headings.index("LMD ↓")
    assert (rows["w/o Sync"][ssim], rows["w/o Sync"][lmd]) == ("-0.100 *", "+1.00 *")
    assert (rows["RN only"][ssim], rows["RN only"][lmd]) == ("+0.000", "+1.00 *")
    assert rows["Ground truth"][ssim] == "+0.100 *"
    assert "no backbone" in to_markdown(table)
    lines = paired_csv(compared(results)).splitlines()
    assert f"synth-words,without-sync,{BASE},ssim,-0.1," in "\n".join(lines)


def test_others_rows_change_nothing_of_ours() -> None:
    ours = {"a": ("rn-only", 0.01), "b": ("without-rn", 0.04)}
    sure = {f"truth {n}": ("ground-truth", 1e-6) for n in range(20)}
    assert raised(ours) == pytest.approx({"a": 0.02, "b": 0.04})
    assert {name: p for name, p in raised(ours | sure).items() if name in ours} == raised(ours)
    assert math.isnan(raised({"a": ("theirs", math.nan)})["a"])


def test_a_new_row_counts_among_ours() -> None:
    asked = {"a": ("rn-only", 0.01), "b": ("unet", 0.04)}
    assert raised(asked) == pytest.approx({"a": 0.01, "b": 0.04})
    assert raised(asked, ["rn-only", "unet"]) == pytest.approx({"a": 0.02, "b": 0.04})


def test_table_3_has_the_ablations_beside_the_papers(results: list[Result], tmp_path: Path) -> None:
    papers, ours = table3(results, ["reported"]).groups
    assert papers[0].startswith("paper, VoxCeleb")
    assert [row.cells[0].text for row in papers[1]] == ["RN only", "w/o RN", "Wav2Lip-L + RN", "w/o Sync", "Full Model"]
    assert ours[0] == "ours, synth-words"
    assert [row.cells[0].text for row in ours[1]] == ["RN only", "w/o Sync", "AV-CAT (ours)"]
    assert table3(results, ["reported"]).notes[-1] == "reported"
