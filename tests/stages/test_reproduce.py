"""The switch of the profile, and that everything started is stopped."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from avcat.errors import InputError
from stages._main import run_stage
from stages._params import FILE, ROOT, load
from stages.reproduce import check_networks, ended, set_profile, set_rows


def test_only_the_profile_line_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("# profile: no\nprofile: demo  # the one switch\nprofiles:\n  demo: {}  # profile: demo\n")
    set_profile("tiny", path)
    assert (
        path.read_text() == "# profile: no\nprofile: tiny  # the one switch\nprofiles:\n  demo: {}  # profile: demo\n"
    )
    assert "profile set to tiny (was demo)" in capsys.readouterr().out
    before = path.stat().st_mtime_ns
    set_profile("tiny", path)
    assert path.stat().st_mtime_ns == before
    assert capsys.readouterr().out == ""


def test_rows_are_av_cat_or_all_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    rest = "# more\nrows:\n  full: {}\n  rn-only: {}\n"
    path.write_text(f"selected:\n  - full\n{rest}")
    set_rows("all", path)
    assert path.read_text() == f"selected:\n  - full\n  - rn-only\n{rest}"
    set_rows("full", path)
    assert path.read_text() == f"selected:\n  - full\n{rest}"


def test_rows_are_set_after_dvc_has_rewritten_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / FILE).read_text())
    apply_overrides(path, ["profile=gpu", "selected=[full,wav2lip]"])
    set_rows("full", path)
    set_profile("test", path)
    before, after = (yaml.safe_load(text) for text in ((ROOT / FILE).read_text(), path.read_text()))
    assert after == {**before, "selected": ["full"], "profile": "test"}


def test_a_network_that_cannot_be_built_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    params = load("test")
    check_networks("test")
    training = {**params.sections["training"], "model": {**params.sections["training"]["model"], "image_size": 33}}
    odd = replace(params, sections={**params.sections, "training": training})
    monkeypatch.setattr("stages.reproduce.load", lambda _: odd)
    with pytest.raises(InputError, match=r"params\.yaml: model\..* \(full\)"):
        check_networks("test")


def test_a_file_without_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("profiles: {}\n")
    with pytest.raises(InputError, match=r"params\.yaml: no line"):
        set_profile("tiny", path)


def test_grandchildren_end_with_the_block(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], start_new_session=True, text=True, stderr=subprocess.DEVNULL
    )
    with ended(process):
        while not (note.exists() and note.read_text()):
            time.sleep(0.02)
    assert process.returncode is not None
    deadline = time.monotonic() + 5
    while is_alive(int(note.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(int(note.read_text()))


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(("error", "code"), [(InputError("a.mp4: no"), 2), (KeyboardInterrupt(), 130)])
def test_a_stage_says_it_in_one_line(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise error

    before = Path.cwd()
    try:
        assert run_stage(work) == code
    finally:
        os.chdir(before)
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text in ("error: a.mp4: no\n", "interrupted\n")


def test_an_unknown_profile_stops_before_anything_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.reproduce", "--profile", "nosuch"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no profile 'nosuch', there are demo")
