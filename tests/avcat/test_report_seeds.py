"""Rows from several seeds: what all seeds agree on is marked, what only one seed shows is not."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avcat.errors import InputError
from avcat.metrics.figures import FIGURES, PAIRED
from avcat.report.seeds import Seeded, seeded, seeds_table
from avcat.report.table import to_markdown

SPEAKERS = 8
NAMES = list(PAIRED)


def result(folder: Path, method: str, **figures: float) -> None:
    """An evaluation of one clip per speaker; a figure that is not named is not measured."""
    folder = folder / method / "synth-words"
    folder.mkdir(parents=True)
    nothing = {"mean": None, "low": None, "high": None, "n": 0, "coverage": 0.0}
    metrics = {
        "method": method,
        "corpus": "synth-words",
        "clips": SPEAKERS,
        "failed": 0,
        "judge": "judge",
        "opening_of_ceiling": None,
        "reasons": {},
        "unmeasured": {"lpips": "no backbone"},
        "figures": dict.fromkeys(FIGURES, nothing),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    spread = [0.001 * clip for clip in range(SPEAKERS)]
    columns = {name: [figures.get(name, float("nan")) + more for more in spread] for name in NAMES}
    clips = {"clip_id": [f"c{clip}" for clip in range(SPEAKERS)], "speaker": [f"s{clip}" for clip in range(SPEAKERS)]}
    pq.write_table(pa.table({**clips, **columns}), folder / "clips.parquet")


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    """Without sync, SSIM is lower in all seeds, and LMD higher in all, but one training's by far the most."""
    for seed, ssim, lmd in (("0", 0.1, 0.1), ("1", 0.1, 1.0), ("2", 0.13, 0.1)):
        result(tmp_path / seed, "full", ssim=0.9, lmd=2.0)
        result(tmp_path / seed, "without-sync", ssim=0.9 - ssim, lmd=2.0 + lmd)
        result(tmp_path / seed, "ground-truth", ssim=1.0, lmd=0.0)
    result(tmp_path / "0", "rn-only", ssim=0.5)
    return [tmp_path / "0", tmp_path / "1", tmp_path / "2"]


def by_figure(found: list[Seeded]) -> dict[str, Seeded]:
    return {each.figure: each for each in found if each.method == "without-sync"}


def test_differences_are_means_over_seeds_and_hold_where_seeds_do_not_explain_them(seeds: list[Path]) -> None:
    found = by_figure(seeded(seeds))
    assert found["ssim"].difference.mean == pytest.approx(-0.11)
    assert found["ssim"].of_each == pytest.approx((-0.1, -0.1, -0.13))
    assert found["ssim"].holds
    assert found["lmd"].difference.mean == pytest.approx(0.4)
    assert found["lmd"].p_adjusted < 0.05
    assert not found["lmd"].holds


def test_a_row_that_no_table_names_is_compared_by_its_own_name(seeds: list[Path]) -> None:
    for seed in seeds:
        result(seed, "unet", ssim=0.5)
    found = seeded(seeds)
    assert {each.method for each in found} == {"without-sync", "unet", "ground-truth"}
    assert [row.cells[0].text for row in seeds_table(found, [0, 1, 2]).groups[0][1]] == [
        "w/o Sync",
        "unet",
        "Ground truth",
    ]


def test_two_seeds_say_nothing(seeds: list[Path]) -> None:
    assert not any(each.holds for each in seeded(seeds[:2]))


def test_what_no_seed_measured_is_empty_with_its_reason(seeds: list[Path]) -> None:
    found = by_figure(seeded(seeds))["lpips"]
    assert found.difference.n == 0
    assert not found.holds
    assert found.empty == "no backbone"


def test_only_rows_that_all_seeds_have_count(seeds: list[Path]) -> None:
    assert {each.method for each in seeded(seeds)} == {"without-sync", "ground-truth"}
    result(seeds[1], "rn-only", ssim=0.4)
    result(seeds[2], "rn-only", ssim=0.4)
    assert {each.method for each in seeded(seeds)} == {"without-sync", "ground-truth", "rn-only"}


def test_without_a_row_in_common_it_says_so(seeds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row that all seeds have"):
        seeded([seeds[0], tmp_path / "nowhere"])


def test_the_table_lists_each_seed(seeds: list[Path]) -> None:
    text = to_markdown(seeds_table(seeded(seeds), [0, 7, 9]))
    assert "trained from 3 seeds (0, 7, 9)" in text
    assert "-0.110 * (-0.110 to -0.110; -0.100, -0.100, -0.130)" in text
    assert "+0.40 (+0.40 to +0.40; +0.10, +1.00, +0.10)" in text
    assert "no backbone" in text
