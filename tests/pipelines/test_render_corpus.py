"""Rendering on Ray gives the plan's files, the same as rendering without Ray, and keeps existing ones."""

from pathlib import Path

import pytest

from avcat.errors import InputError
from avcat.synth.corpus import CorpusConfig, SpeakersConfig, plan, render, truth_path
from pipelines.corpus import render_corpus

PEOPLE = SpeakersConfig(train=1, val=1, test=1, clips_per_speaker=1)
CONFIG = CorpusConfig(seed=3, size=64, words=PEOPLE, wild=PEOPLE, wild_seconds=(0.4, 0.6))


@pytest.mark.usefixtures("ray_instance")
def test_every_clip_is_rendered_once(tmp_path: Path) -> None:
    specs, calls = plan(CONFIG), []
    summary = render_corpus(CONFIG, tmp_path / "ray", workers=2, progress=lambda done, of: calls.append((done, of)))
    assert summary["clips"] == {f"{c}/{s}": 1 for c in ("synth-words", "synth-wild") for s in ("train", "val", "test")}
    assert summary["frames"] == sum(spec.frames for spec in specs)
    assert summary["kept"] == 0
    assert len(calls) == 6
    assert calls[-1] == (summary["frames"],) * 2
    written = {path.relative_to(tmp_path / "ray") for path in (tmp_path / "ray").rglob("*") if path.is_file()}
    assert written == {path for spec in specs for path in (spec.path, truth_path(spec.path))}

    home = render(specs[0], tmp_path / "home")
    assert home.read_bytes() == (tmp_path / "ray" / specs[0].path).read_bytes()

    (tmp_path / "ray" / specs[1].path).unlink()
    again = render_corpus(CONFIG, tmp_path / "ray", workers=2)
    assert again == {**summary, "kept": 5}
    assert (tmp_path / "ray" / specs[1].path).is_file()


@pytest.mark.usefixtures("ray_instance")
def test_a_clip_that_cannot_be_written_fails_the_run_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "synth-wild").write_text("a file where a folder should be")
    with pytest.raises(InputError, match=r"3 of 6 clips could not be rendered; synth-wild/"):
        render_corpus(CONFIG, tmp_path, workers=2)
