"""`python -m stages.manifest --explain CLIP`."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.outcome import Outcome, write_outcomes
from stages import manifest

OK = Outcome("0123456789abcdef", "mine", "a/1.mp4", 0.0, 2.0, "train", "tracks", "ok", "", 50, 49)
EARLY = Outcome("0123456789abcdef", "mine", "a/1.mp4", 0.0, 2.0, "train", "manifest", "ok")
NO_FACE = Outcome("fedcba9876543210", "mine", "b/1.mp4", 0.0, 2.0, "test", "tracks", "rejected", "no face", 50, 0)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    params = manifest.load("test")
    here = replace(params, machine={**params.machine, "storage": str(tmp_path)})
    monkeypatch.setattr(manifest, "load", lambda: here)
    return here.out


def reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clip: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["manifest", "--explain", clip])
    code = manifest.main()
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_a_clip_is_explained_by_the_last_stage_that_reported(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported(monkeypatch, capsys, "1.mp4") == (
        2,
        f"error: {out}: no stage has reported yet; `dvc repro shards` makes them\n",
    )
    write_outcomes(out / "manifest-outcomes.parquet", [EARLY])
    assert reported(monkeypatch, capsys, "0123456789abcdef")[1].endswith("split train: ok in manifest\n")
    write_outcomes(out / "tracks" / "outcomes.parquet", [OK, NO_FACE])
    code, text = reported(monkeypatch, capsys, "1.mp4")
    assert code == 0
    assert text.splitlines() == [
        "0123456789abcdef  mine: 'a/1.mp4' [0 to 2 s], split train: ok in tracks, face seen in 49 of 50 frames",
        "fedcba9876543210  mine: 'b/1.mp4' [0 to 2 s], split test: rejected in tracks (no face), "
        "face seen in 0 of 50 frames",
    ]
    code, text = reported(monkeypatch, capsys, "no_one.mp4")
    assert (code, text) == (2, f"error: no_one.mp4: no such clip in the reports of manifest, tracks below {out}\n")


def test_a_stage_that_ran_again_speaks_for_itself(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shards are of yesterday; tracks have run again with other thresholds, accepted one clip, and dropped another."""
    taken, dropped = replace(NO_FACE, status="ok", reason=""), replace(OK, status="rejected", reason="too short")
    write_outcomes(out / "manifest-outcomes.parquet", [EARLY])
    write_outcomes(out / "shards/outcomes.parquet", [replace(OK, stage="shards"), NO_FACE])
    write_outcomes(out / "tracks/outcomes.parquet", [dropped, taken])
    write_outcomes(out / "mels/outcomes.parquet", [replace(OK, stage="mels")])
    text = reported(monkeypatch, capsys, "1.mp4")[1]
    assert "a/1.mp4' [0 to 2 s], split train: rejected in tracks (too short)" in text
    assert "b/1.mp4' [0 to 2 s], split test: ok in tracks" in text
