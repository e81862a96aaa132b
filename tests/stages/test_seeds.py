"""Other seeds: what cannot be compared is refused before anything is trained."""

from typing import Any

import pytest

from stages import seeds


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
    assert "no row is called 'rn'" in called(monkeypatch, capsys, "--seeds", "1", "--rows", "rn")
