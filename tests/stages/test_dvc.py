"""A stage is made again if its settings or its code have changed, and only then."""

from pathlib import Path

import pytest
import yaml

import pipelines.code as code
from stages._params import load
from stages.settings import codes

ROOT = Path(__file__).parents[2]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    return {name: set(files) for name, files in codes(load("test")).items()}


def files_in(names: dict[str, set[str]], stage: str, folder: str) -> list[str]:
    return sorted(file for file in names[stage] if file.startswith(folder))


@pytest.mark.parametrize("name", DVC)
def test_every_stage_depends_on_its_code_and_settings_that_are_written(name: str, found: dict[str, set[str]]) -> None:
    if name == "settings":
        return
    wanted = {"train": "train/${item.row}", "evaluate": "evaluate/${item.row}", "evaluate-bound": "evaluate"}
    stage = wanted.get(name, name)
    folder = "out/${profile}/settings/"
    assert f"{folder}code/{stage}.json" in DVC[name]["deps"]
    assert stage.replace("${item.row}", "full") in found
    written = {f"{folder}{section}.yaml" for section in load("test").in_force()}
    written |= {f"{folder}rows/${{item.row}}.yaml", "selected"}
    assert {
        key for each in DVC[name].get("params", ()) for key in ([each] if isinstance(each, str) else each)
    } <= written


def test_a_stage_depends_on_all_that_it_imports_but_on_no_other_method(found: dict[str, set[str]]) -> None:
    assert {"avcat/synth/mouth.py", "avcat/media/writer.py", "stages/corpus.py"} < found["corpus"]
    assert not files_in(found, "corpus", "avcat/nn")
    assert {"avcat/face/track.py", "avcat/metrics/agreement.py"} < found["tracks"]
    assert not files_in(found, "tracks", "avcat/methods"), "a SyncNet that chooses is known by its file"
    assert {"avcat/nn/attention.py", "avcat/losses/vgg.py", "avcat/training/muon.py"} < found["train/full"]
    assert files_in(found, "syncnet", "avcat/methods/") == [
        "avcat/methods/__init__.py",
        "avcat/methods/syncnet/model.py",
        "avcat/methods/syncnet/task.py",
    ]
    assert "avcat/training/task.py" not in found["evaluate/full"]
    assert "avcat/settings.py" not in found["train/full"], "DVC compares the settings themselves"


@pytest.mark.parametrize("method", ["avcat", "pc_avs", "makeittalk", "wav2lip", "wav2lip_rn"])
def test_a_method_s_folder_makes_its_own_rows_stale_and_no_others(method: str, found: dict[str, set[str]]) -> None:
    params = load("test")
    contain = {"avcat": {"wav2lip_rn"}, "wav2lip": {"wav2lip_rn"}}  # Wav2Lip-L + RN is made of both
    methods = {method} | contain.get(method, set())
    rows = {row for row in params.rows if params.row(row).method in methods}
    for work in ("train", "evaluate"):
        stale = {row for row in params.rows if files_in(found, f"{work}/{row}", f"avcat/methods/{method}/")}
        assert stale == rows, work
    others = [stage for stage in found if "/" not in stage and stage != "dub"]
    assert not any(files_in(found, stage, f"avcat/methods/{method}/") for stage in others)


def test_a_changed_byte_changes_the_file_that_a_stage_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    file = "avcat/methods/pc_avs/task.py"
    before, params = codes(load("test")), load("test")
    real = code.file_hash
    monkeypatch.setattr(code, "file_hash", lambda path: "new" if path == ROOT / file else real(path))
    after = codes(params)
    assert {stage for stage in before if before[stage] != after[stage]} == {"train/pc_avs"}


def test_every_dependency_exists_or_is_made() -> None:
    for name, stage in DVC.items():
        own = [dep for dep in stage["deps"] if not dep.startswith("out/")]
        assert [dep for dep in own if not (ROOT / dep).exists()] == [], name
