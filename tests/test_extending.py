"""The examples of docs/extending.md: each change applies, passes its test, and is trained, scored and tabulated."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from copies import ROOT, call, copy_of_project

from stages.reproduce import set_profile

CHANGES = dict(
    zip(
        ("baseline", "metric", "corpus", "layout", "loss"),
        re.findall(r"^```diff\n(.*?)^```", (ROOT / "docs" / "extending.md").read_text(), re.MULTILINE | re.DOTALL),
        strict=True,
    )
)
FILES = {"baseline": 5, "metric": 3, "corpus": 1, "layout": 4, "loss": 4}
LISTS = {  # tests that would fail if there were another list to add it to
    "baseline": ("tests/stages/test_params.py", "tests/test_imports.py"),
    "metric": ("tests/stages/test_tables.py",),
    "corpus": ("tests/stages/test_params.py",),
    "layout": ("tests/pipelines/test_corpora.py",),
    "loss": ("tests/stages/test_params.py",),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with `profile: test` rendered, in shards, both SyncNets and AV-CAT trained."""
    folder = copy_of_project(tmp_path_factory.mktemp("project"), "tests")
    shutil.rmtree(folder / "tests" / "avcat" / "__pycache__", ignore_errors=True)
    set_profile("test", folder / "params.yaml")
    run(folder, "settings", "corpus", "manifest", "tracks", "mels", "shards", "syncnet", "evaluator", "offsets")
    run(folder, "train --row full")
    return folder


def run(project: Path, *stages: str) -> None:
    for stage in stages:
        name, *words = stage.split()
        assert call(project, f"stages.{name}", *words).returncode == 0, stage


def changed(prepared: Path, folder: Path, name: str) -> Path:
    """A copy of the prepared project with a change of the page applied; its own test and those of `LISTS` pass."""
    project = shutil.copytree(prepared, folder / "project")
    subprocess.run(["git", "apply", "-"], cwd=project, input=CHANGES[name], text=True, check=True)
    own = [path for path in re.findall(r"^diff --git a/(\S+)", CHANGES[name], re.MULTILINE) if path.startswith("tests")]
    assert call(project, "pytest", "-q", "-p", "no:cacheprovider", *own, *LISTS[name]).returncode == 0
    return project


def table(project: Path, name: str, profile: str = "test") -> dict[str, dict[str, str]]:
    """The cells of a table by row and column, of its last group."""
    lines = (project / "out" / profile / "tables" / f"{name}.md").read_text().splitlines()
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def number(cell: str) -> float:
    return float(re.split(r"[ \[<]", cell.replace("\N{MINUS SIGN}", "-"))[0])


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_touches_no_more_files_than_the_page_promises(name: str) -> None:
    assert len(re.findall(r"^diff --git", CHANGES[name], re.MULTILINE)) == FILES[name]
    called = {"corpus": "corpus of a known", "layout": "corpus of a new"}.get(name, name)
    promised = re.search(rf"^\| a {called}[^|]*\| (\d)", (ROOT / "docs" / "extending.md").read_text(), re.MULTILINE)
    assert promised is not None
    assert int(promised[1]) == FILES[name]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_applies_to_the_code_as_it_is(name: str) -> None:
    subprocess.run(["git", "apply", "--check", "-"], cwd=ROOT, input=CHANGES[name], text=True, check=True)


@pytest.mark.parametrize("name", CHANGES)
def test_new_files_have_the_project_s_style(name: str) -> None:
    for path, content in re.findall(r"^\+\+\+ b/(\S+\.py)\n@@ -0,0 \S+ @@\n((?:\+.*\n)+)", CHANGES[name], re.MULTILINE):
        text = re.sub(r"^\+", "", content, flags=re.MULTILINE)
        for command in (["check"], ["format", "--check"]):
            words = [sys.executable, "-m", "ruff", *command, "--stdin-filename", path, "-"]
            subprocess.run(words, cwd=ROOT, input=text, text=True, check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "row"), [("baseline", "unet"), ("loss", "charbonnier")])
def test_a_new_row(prepared: Path, tmp_path: Path, name: str, row: str) -> None:
    project = changed(prepared, tmp_path, name)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("  - full\n", f"  - full\n  - {row}\n"))
    run(project, "settings", f"train --row {row}", f"evaluate --row {row}", "tables")
    assert 0 < number(table(project, "table1")[row]["SSIM ↑"]) < 1
    model = project / "out" / "test" / "train" / row / "model.pt"
    assert call(project, "avcat.apps.cli", "export", str(model), "-o", str(project / "row.onnx")).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_new_metric(prepared: Path, tmp_path: Path) -> None:
    project = changed(prepared, tmp_path, "metric")
    run(project, "settings", "evaluate --row full", "evaluate --row ground-truth", "tables")
    mouths = table(project, "mouth")
    assert number(mouths["Ground truth"]["Brightness"]) == 0
    assert abs(number(mouths["AV-CAT (ours)"]["Brightness"])) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "corpus"), [("corpus", "lectures"), ("layout", "stations")])
def test_a_new_corpus(prepared: Path, tmp_path: Path, name: str, corpus: str) -> None:
    project = changed(prepared, tmp_path, name)
    videos = tmp_path / "videos"
    for n, path in enumerate(sorted((project / "out" / "test" / "corpus" / "synth-words").rglob("*.mp4"))):
        speaker = path.parent.name.replace("-", "")
        place = f"{speaker}/{path.name}" if name == "corpus" else f"station{n % 2}/day/{speaker}-1.mp4"
        (videos / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, videos / place)
    profile = project / "profiles" / f"{corpus}.yaml"
    text = profile.read_text().replace(f"/data/{corpus}", str(videos)).replace("extends: tiny", "extends: test")
    profile.write_text(text)
    set_profile(corpus, project / "params.yaml")
    for trained in ("syncnet", "evaluator"):
        shutil.copytree(project / "out" / "test" / trained, project / "out" / corpus / trained)
    run(project, "settings", "corpus", "manifest", "tracks", "mels", "shards", "offsets")
    run(project, "train --row full", "evaluate --row full", "tables")
    assert not list((project / "out" / corpus / "corpus").iterdir())
    assert f"ours, {corpus}" in (project / "out" / corpus / "tables" / "table1.md").read_text()
    assert 0 < number(table(project, "table1", corpus)["AV-CAT (ours)"]["SSIM ↑"]) < 1
