"""Other seeds: what cannot be compared is refused before anything is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages import seeds
from stages._params import load


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any) -> None:
        raise AssertionError("a training was started")

    monkeypatch.setattr(seeds, "train", train)


def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["seeds", *words])
    assert seeds.main() == 2
    return capsys.readouterr().err


def test_the_profiles_own_seed_is_there_already(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "the profile's own seed" in called(monkeypatch, capsys, "--seeds", "0")


def test_rows_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown row 'rn'" in called(monkeypatch, capsys, "--seeds", "1", "--rows", "rn")


def test_rows_without_figures_of_the_own_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nowhere = replace(load(), machine={**load().machine, "storage": str(tmp_path)})
    monkeypatch.setattr(seeds, "load", lambda: nowhere)
    reported = called(monkeypatch, capsys, "--seeds", "1")
    assert "figures/full.json: not there; python -m stages.reproduce --rows all makes it" in reported


def test_own_figures_that_are_out_of_date_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(seeds, "stale", lambda: ["corpus", "train@full", "train@rn-only", "evaluate@full", "tables"])
    seeds._tell_stale(["full"])
    reported = capsys.readouterr().err
    assert "since train@full, evaluate@full were made for the profile's own seed" in reported
    seeds._tell_stale(["without-rn"])
    assert capsys.readouterr().err == ""
