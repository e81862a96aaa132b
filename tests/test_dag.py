"""Everything, from rendering to the tables and a dubbed clip, at the size of the profile `test`; then nothing again."""

import json
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from copies import ROOT, call, copy_of_project

from stages.reproduce import set_rows

STAGES = 17


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh checkout of what the stages need."""
    folder = copy_of_project(tmp_path_factory.mktemp("project"))
    set_rows("full", folder / "params.yaml")  # the last results made here
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "start"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_path_and_then_nothing(project: Path) -> None:
    first = call(project, "stages.reproduce", "--profile", "test")
    assert first.returncode == 0
    assert "params.yaml: profile set to test" in first.stdout
    out = project / "out" / "test"
    for name in (
        *("tables/table1.md", "tables/table2.md", "tables/report.html", "train/full/model.pt"),
        *("dub/dubbed.mp4", "dub/strip.png"),
    ):
        assert (out / name).stat().st_size > 0
    assert set(json.loads((out / "figures" / "full.json").read_text())) == {"synth-wild", "synth-words"}
    metrics = json.loads((out / "evaluate" / "ground-truth" / "synth-words" / "metrics.json").read_text())
    assert metrics["figures"]["ssim"]["mean"] == 1.0
    assert not list((project / "state").rglob("*.part*"))

    runs = sqlite3.connect(project / "mlflow.db")
    assert runs.execute("select count(*) from runs where status = 'FINISHED'").fetchone() == (STAGES,)
    groups = runs.execute("select distinct value from tags where key = 'reproduction'").fetchall()
    assert len(groups) == 1
    read = runs.execute("select count(*) from tags where key = 'md5.out/test/manifest.parquet'").fetchone()
    assert read[0] >= 3
    runs.close()

    second = call(project, "stages.reproduce", "--profile", "test")
    assert second.returncode == 0
    assert "everything is up to date" in second.stdout
    assert "Running stage" not in second.stdout
    assert call(project, "dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    changed = subprocess.run(["git", "status", "--short"], cwd=project, capture_output=True, text=True, check=True)
    assert changed.stdout.split() == ["M", "params.yaml", "??", "dvc.lock"]


def stale(project: Path) -> list[str]:
    """What has to run again, once the settings in force are written."""
    assert call(project, "dvc", "repro", "settings").returncode == 0
    return list(json.loads(call(project, "dvc", "status", "--json").stdout))


@pytest.mark.slow
def test_another_profile_invalidates_nothing(project: Path) -> None:
    tiny, own = (project / "profiles" / f"{name}.yaml" for name in ("tiny", "test"))
    tiny.write_text(tiny.read_text().replace("steps: 500", "steps: 501"))
    assert stale(project) == []
    text = own.read_text()
    own.write_text(text.replace("wild_seconds: [3.0, 3.2]", "wild_seconds: [3.0, 3.3]"))
    assert "wild_seconds" in call(project, "dvc", "params", "diff").stdout
    assert stale(project) == ["corpus"]
    own.write_text(text)
    assert stale(project) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_are_made_and_changed_alone(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("  - full\n", "  - full\n  - without-sync\n  - wav2lip\n"))
    more = call(project, "stages.reproduce", "--profile", "test")
    assert more.returncode == 0
    new = [f"'{stage}@{row}'" for stage in ("train", "evaluate") for row in ("without-sync", "wav2lip")]
    assert sorted(re.findall(r"Running stage ('.+'):", more.stdout)) == sorted([*new, "'tables'"])
    table = (project / "out" / "test" / "tables" / "table3.md").read_text()
    assert "| w/o Sync " in table
    assert "| AV-CAT (ours) " in table
    assert "| Wav2Lip " in (project / "out" / "test" / "tables" / "table1.md").read_text()
    text = (project / "params.yaml").read_text()
    changed = text.replace("weights: {sync: 0.0}", "weights: {sync: 0.01}")
    assert changed != text
    (project / "params.yaml").write_text(changed)
    assert stale(project) == ["train@without-sync"]
    (project / "params.yaml").write_text(text)
    task = project / "avcat" / "methods" / "wav2lip" / "task.py"
    task.write_text(task.read_text() + "# changed\n")
    assert stale(project) == ["train@wav2lip"]


def test_a_mistake_is_one_line_and_starts_nothing(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("jpeg_quality: 95", "jpeg_qualty: 95"))
    done = call(project, "stages.reproduce", "--profile", "test")
    (project / "params.yaml").write_text(text)
    assert done.returncode == 2
    said = "error: params.yaml with profiles/test.yaml: data.jpeg_qualty: unknown key, did you mean 'jpeg_quality'?\n"
    assert done.stderr == said
