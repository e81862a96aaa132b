"""One MLflow run per stage, finished or failed, with its inputs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avcat.metrics.pair import EvaluateConfig
from stages import _mlflow
from stages._mlflow import flatten, input_hashes, tracked

pytestmark = pytest.mark.filterwarnings("ignore:.*noload", "ignore::DeprecationWarning", "ignore::FutureWarning")

LOCK = """
stages:
  manifest:
    outs:
    - {path: out/demo/manifest.parquet, md5: aa11}
  tracks:
    outs:
    - {path: out/demo/tracks, md5: bb22.dir}
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    monkeypatch.setenv("AVCAT_REPRODUCTION", "demo-1")
    monkeypatch.setenv("DVC_STAGE", "evaluate@full")
    monkeypatch.chdir(tmp_path)
    before = _mlflow.mlflow.get_tracking_uri()
    _mlflow.mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    yield
    _mlflow.mlflow.set_tracking_uri(before)


def test_a_run_says_what_was_done(store: None, capsys: pytest.CaptureFixture[str]) -> None:
    settings = EvaluateConfig(
        clips_per_corpus=3,
        batch_frames=8,
        sync_max_shift=5,
        bootstrap_samples=9,
        seed=1,
        lpips_weights=None,
        syncnet=None,
    )
    with tracked("evaluate", {"evaluate": settings}) as run:
        run.log(1, {"loss": 0.5})
        run.log(2, {"loss": 0.25})
        run.log_image("held out", 2, np.zeros((8, 8, 3), np.uint8))
        run.summarise({"clips": {"ok": 3}, "method": "full"})
    (found,) = _mlflow.mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert found.info.status == "FINISHED"
    assert found.data.tags["stage"] == "evaluate@full"
    assert found.data.tags["reproduction"] == "demo-1"
    assert found.data.params["evaluate.batch_frames"] == "8"
    assert found.data.metrics["loss"] == 0.25
    assert found.data.metrics["clips.ok"] == 3
    assert "stage_s" in found.data.metrics
    assert "clips.ok  3" in capsys.readouterr().out

    with pytest.raises(RuntimeError, match="planted"), tracked("evaluate", {}):
        raise RuntimeError("planted")
    newest = _mlflow.mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)[0]
    assert newest.info.status == "FAILED"


def test_hashes_come_from_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    assert input_hashes(["out/demo/tracks"], lock) == {}
    lock.write_text(LOCK)
    assert input_hashes([Path("out/demo/tracks"), "unknown"], lock) == {"out/demo/tracks": "bb22.dir"}


def test_names_are_joined_by_dots() -> None:
    assert dict(flatten({"a": {"b": {"c": 1}}, "d": 2})) == {"a.b.c": 1, "d": 2}


def test_an_experiment_of_dvc_is_a_reproduction(store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AVCAT_REPRODUCTION")
    monkeypatch.setenv("DVC_EXP_NAME", "more-sync")
    with tracked("evaluate", {}):
        pass
    (found,) = _mlflow.mlflow.search_runs(search_all_experiments=True).to_dict("records")
    assert found["tags.reproduction"] == "more-sync"
