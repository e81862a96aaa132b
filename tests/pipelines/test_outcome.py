"""Counts of outcomes, and when too many clips failed."""

from dataclasses import replace
from pathlib import Path

import pytest

from avcat.errors import InputError
from pipelines.outcome import (
    MOST_REASONS,
    Outcome,
    Rejected,
    after,
    check_failures,
    explain,
    failed,
    one_line,
    outcome_of,
    read_outcomes,
    summary,
    write_outcomes,
)

OK = Outcome("a", "words", "x/a.mp4", 0.0, 1.2, "train", "tracks", "ok", "", 30, 29)
SHORT = Outcome("b", "words", "x/b.mp4", 0.0, 0.2, "train", "tracks", "rejected", "too short", 5, 5)
BROKEN = Outcome("c", "wild", "c.mp4", 0.0, 0.0, "test", "manifest", "failed", "/data/c.mp4: the file is empty")


def row(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in ("clip_id", "corpus", "path", "start_s", "end_s", "split")}


def test_an_exception_becomes_an_outcome() -> None:
    assert outcome_of("tracks", row(SHORT), failed(Rejected("too short"))).status == "rejected"
    assert outcome_of("manifest", row(BROKEN), failed(InputError("/data/c.mp4: the file is empty"))) == BROKEN
    assert outcome_of("tracks", row(OK), {"any": "row"}, 30, 29) == OK


def test_errors_in_one_line() -> None:
    assert one_line(InputError("x.mp4: no such file")) == "x.mp4: no such file"
    assert one_line(KeyError("eyes")) == "KeyError: 'eyes'"
    assert one_line(RuntimeError("first\nsecond")) == "RuntimeError: first"
    assert one_line(MemoryError()) == "MemoryError"


def test_summary_counts() -> None:
    assert summary([OK, SHORT, SHORT, BROKEN]) == {
        "clips": {"in": 4, "ok": 1, "rejected": 2, "failed": 1},
        "rejected": {"too short": 2},
        "failed": {"the file is empty": 1},
        "frames": 30,
    }


def test_rare_reasons_are_counted_together() -> None:
    many = [replace(SHORT, reason=f"reason {n}") for n in range(20)] + [SHORT, SHORT]
    rejected = summary(many)["rejected"]
    assert rejected["too short"] == 2
    assert sum(rejected.values()) == 22
    assert rejected["other reasons"] == 22 - 2 - (MOST_REASONS - 1)


def test_a_clip_keeps_the_outcome_of_the_stage_that_ended_it() -> None:
    assert after([replace(OK, stage="manifest"), BROKEN], [OK, SHORT]) == [BROKEN, OK, SHORT]


def test_a_clip_is_explained_by_id_and_by_file() -> None:
    assert explain([OK, SHORT, BROKEN], "b") == [
        "b  words: 'x/b.mp4' [0 to 0.2 s], split train: rejected in tracks (too short), face seen in 5 of 5 frames"
    ]
    assert explain([OK, SHORT, BROKEN], "x/a.mp4") == explain([OK], "a.mp4") != []
    assert explain([OK], "other.mp4") == []


def test_the_run_fails_above_the_threshold_alone() -> None:
    check_failures([OK] * 19 + [BROKEN], 0.05)
    with pytest.raises(InputError, match=r"2 of 20 clips failed.*2 of them: /data/c\.mp4: the file is empty"):
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
