"""Counting what became of the clips, and when it is too much."""

from pathlib import Path

import pytest

from avcat.errors import InputError
from pipelines.outcome import (
    Outcome,
    Rejected,
    check_failures,
    failed,
    one_line,
    outcome_of,
    read_outcomes,
    summary,
    write_outcomes,
)

OK = Outcome("a", "words", "train", "ok", "", 30, 29)
SHORT = Outcome("b", "words", "train", "rejected", "too short", 5, 5)
BROKEN = Outcome("c", "wild", "test", "failed", "c.mp4: the file is empty")


def test_an_exception_becomes_an_outcome() -> None:
    assert outcome_of("b", "words", "train", failed(Rejected("too short"))).status == "rejected"
    assert outcome_of("c", "wild", "test", failed(InputError("c.mp4: the file is empty"))) == BROKEN
    assert outcome_of("a", "words", "train", {"any": "row"}, 30, 29) == OK


def test_errors_in_one_line() -> None:
    assert one_line(InputError("x.mp4: no such file")) == "x.mp4: no such file"
    assert one_line(KeyError("eyes")) == "KeyError: 'eyes'"
    assert one_line(RuntimeError("first\nsecond")) == "RuntimeError: first"
    assert one_line(MemoryError()) == "MemoryError"


def test_summary_counts() -> None:
    assert summary([OK, SHORT, SHORT, BROKEN]) == {
        "clips": {"in": 4, "ok": 1, "rejected": 2, "failed": 1},
        "rejected": {"too short": 2},
        "frames": 30,
    }


def test_the_run_fails_above_the_threshold_alone() -> None:
    check_failures([OK] * 19 + [BROKEN], 0.05)
    with pytest.raises(InputError, match=r"2 of 20 clips failed.*2 of them: c\.mp4: the file is empty"):
        check_failures([OK] * 18 + [BROKEN] * 2, 0.05)


def test_nothing_usable_fails() -> None:
    with pytest.raises(InputError, match="none of 2 clips can be used: 2 too short"):
        check_failures([SHORT, SHORT], 1.0)
    with pytest.raises(InputError, match="there are none"):
        check_failures([], 1.0)


def test_outcomes_are_kept_in_the_order_of_their_ids(tmp_path: Path) -> None:
    write_outcomes(tmp_path / "a.parquet", [BROKEN, OK, SHORT])
    write_outcomes(tmp_path / "b.parquet", [SHORT, BROKEN, OK])
    assert read_outcomes(tmp_path / "a.parquet") == [OK, SHORT, BROKEN]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
