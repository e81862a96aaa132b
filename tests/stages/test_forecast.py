"""Forecasts of time: before a reproduction, and by its bars."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from avcat.data import schema
from avcat.files import write
from stages import forecast
from stages._main import bar
from stages._params import load
from stages.forecast import frames_per_step, left, rounded, seconds_of_video, step_s, with_dependents

ROW = ["train@full", "evaluate@full-synth-words", "evaluate@full-synth-wild"]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine like the one that the arithmetic is based on, with steps of one second."""
    monkeypatch.setattr(forecast, "rendering_took", lambda: forecast.RENDER_TOOK_S)
    monkeypatch.setattr(forecast, "step_s", lambda *_: 1.0)
    monkeypatch.setattr("avcat.training.threads.used_by_others", lambda _: 0.0)
    monkeypatch.setattr("pipelines.cluster.cpu_count", lambda: 2)
    monkeypatch.setattr("avcat.nn.precision.quickest", lambda _: "fp32")
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)


def test_a_training_takes_its_steps(known: None) -> None:
    params = replace(load("demo"), machine={**load("demo").machine, "device": "cpu"})
    steps = params.train.optimiser.steps
    said = forecast.forecast(params, ["train@full"], ["full"])
    minutes = (steps + forecast.STAGE_S) / 60
    expected = f"1 stage on 2 cores, in fp32; this processor has no instructions for bf16: about {minutes:.0f} minutes"
    assert said == expected
    assert forecast.forecast(params, ["train@full", "syncnet"], ["full"]) != said


def test_what_a_checkpoint_has_done_is_not_done_again(tmp_path: Path) -> None:
    params = load("demo")
    params = replace(params, machine={**params.machine, "storage": str(tmp_path)})
    assert left(params.train, params, "full") == params.train.optimiser.steps
    state = params.state / "train" / "full"
    state.mkdir(parents=True)
    for step in (105, 210):
        (state / f"step-{step:08d}.pt").touch()
    assert left(params.train, params, "full") == params.train.optimiser.steps - 210
    assert left(params.syncnet, params, "syncnet") == params.syncnet.optimiser.steps


def test_other_programs_are_named(known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcat.training.threads.used_by_others", lambda _: 1.04)
    params = replace(load("demo"), machine={**load("demo").machine, "device": "cpu"})
    said = forecast.forecast(params, ROW, ["full"])
    assert said.endswith("\nother programs use 1.0 of the 2 cores; without them it would be faster")


def test_what_follows_a_stale_stage_runs_again() -> None:
    assert with_dependents(["tracks", *ROW]) == ["tracks", *ROW, "mels", "shards", "syncnet", "evaluator", "offsets"]
    assert with_dependents(ROW) == ROW
    assert with_dependents([]) == []


def test_seconds_of_video_before_there_is_a_manifest() -> None:
    params = load("demo")
    assert seconds_of_video(replace(params, profile="nowhere")) == pytest.approx(555, rel=0.03)  # as rendered


@pytest.mark.parametrize("name", ["syncnet", "full", "makeittalk"])
def test_steps_are_measured(name: str) -> None:
    params: Any = load("test")
    row = None if name == "syncnet" else params.row(name)
    config = row.training if row else params.syncnet
    assert 0 < step_s(row.method if row else "syncnet", config, params, "cpu") < 60
    assert frames_per_step(config) == 5 * (params.syncnet.windows_per_clip if name == "syncnet" else 1)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(20, "1 minute"), (100, "2 minutes"), (5_000, "83 minutes"), (9_000, "2 hours"), (700_000, "8 days")],
)
def test_times_are_as_precise_as_a_forecast(seconds: float, expected: str) -> None:
    assert rounded(seconds) == expected


def test_what_came_before_the_first_report_is_no_part_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight seconds of start, then a unit per second: at 20 of 100 there are 80 seconds left, not 120."""
    now, shown = [1000.0], io.StringIO()
    for clock in ("time.time", "tqdm.std.time"):
        monkeypatch.setattr(clock, lambda: now[0])
    monkeypatch.setattr("sys.stderr", shown)
    with bar("work", "unit") as progress:
        now[0] += 8
        for done in range(1, 31):
            progress(done, 100.0)
            now[0] += 1
    forecasts = re.findall(r"(\d+)/100 \[\d\d:\d\d<(\d\d):(\d\d)", shown.getvalue())
    assert forecasts, shown.getvalue()
    for done, minutes, seconds in forecasts:
        if int(done) > 1:
            assert int(minutes) * 60 + int(seconds) == pytest.approx(100 - int(done), abs=2)


def test_scored_frames_are_those_of_the_test_clips_of_any_corpus(tmp_path: Path) -> None:
    params = load("demo")
    params = replace(params, machine={**params.machine, "storage": str(tmp_path)})
    rendered = params.corpus.words.test * params.corpus.words.clips_per_speaker
    assert forecast.scored_frames(params) > 25 * min(rendered, params.evaluate.clips_per_corpus)
    blank = {field.name: [None] * 4 for field in schema.MANIFEST}
    known = {
        "corpus": ["lrwar", "lrwar", "wild", "wild"],
        "split": ["test", "train", "test", "test"],
        "start_s": [0.0] * 4,
        "end_s": [1.0, 9.0, 2.0, 4.0],
    }
    write(params.out / "manifest.parquet", pa.table(blank | known, schema=schema.MANIFEST))
    assert forecast.scored_frames(params) == 25 * (1 + 2 + 4)
