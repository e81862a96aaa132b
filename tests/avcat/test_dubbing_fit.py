"""Fitting a model to one person: it learns, keeps the best, holds out the stated part, and is deterministic."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn import ALIGN, MEL, talking, tone, write_video
from test_cli import TINY

from avcat.apps.cli import main
from avcat.checkpoint import load_model, read_facts, save_model
from avcat.data.inputs import InputConfig
from avcat.dubbing.fit import fit
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.methods import build
from avcat.methods.avcat.model import AVCAT
from avcat.settings import to_dict


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    write_video(folder / "talk.mp4", talking(60), audio=(tone(2.4), 16_000))
    write_video(folder / "brief.mp4", talking(12), audio=(tone(0.48), 16_000))
    torch.manual_seed(0)
    inputs = InputConfig(crop_size=64, align=ALIGN, mel=MEL)
    save_model(folder / "model.pt", "avcat", build("avcat", to_dict(TINY)), TINY, inputs, {"steps": 12})
    return folder


def test_it_learns_and_keeps_the_best(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcat.dubbing.fit.PersonTask.hear", lambda *_: None)  # without help from any L1
    detector = MediaPipeDetector()
    done = fit([files / "talk.mp4"], files / "model.pt", tmp_path / "person.pt", detector, steps=24)
    assert done.after < done.before
    assert (done.frames, done.held_out, done.steps) == (48, 12, 24)
    network, file = load_model(tmp_path / "person.pt", AVCAT)
    assert file.facts["steps"] == 12
    assert file.facts["fitted_steps"] == done.best_step > 0
    assert file.inputs.crop_size == 64
    strip = cv2.imread(str(tmp_path / "person-strip.png"))
    assert strip.shape == (3 * 32, 8 * 32, 3)
    fit([files / "talk.mp4"], files / "model.pt", tmp_path / "again.pt", detector, steps=24)
    again, _ = load_model(tmp_path / "again.pt", AVCAT)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_only_what_draws_the_face_learns_and_the_voice_is_heard_as_usual(files: Path, tmp_path: Path) -> None:
    fit([files / "talk.mp4"], files / "model.pt", tmp_path / "person.pt", MediaPipeDetector(), steps=24)
    before, after = (load_model(path, AVCAT)[0].state_dict() for path in (files / "model.pt", tmp_path / "person.pt"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"refinement", "audio"}
    assert {name for name in changed if name.startswith("audio")} == {"audio.mean"}


def test_few_frames_are_not_gone_over_for_long(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcat.dubbing.fit.PASSES", 2)
    monkeypatch.setattr("avcat.dubbing.fit.VALIDATE_EVERY", 2)
    monkeypatch.setattr("avcat.dubbing.fit.PATIENCE", 1000)
    done = fit([files / "talk.mp4"], files / "model.pt", tmp_path / "person.pt", MediaPipeDetector())
    assert done.steps == 2 * 48 // 15


def test_where_nothing_is_won_the_model_stays(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcat.dubbing.fit._LEARNING_RATE", 0.0)
    monkeypatch.setattr("avcat.dubbing.fit.VALIDATE_EVERY", 2)
    monkeypatch.setattr("avcat.dubbing.fit.PersonTask.hear", lambda *_: None)
    done = fit([files / "talk.mp4"], files / "model.pt", tmp_path / "person.pt", MediaPipeDetector(), steps=60)
    assert done.steps == 4  # two validations without improvement
    assert done.best_step == 0
    assert done.after == done.before
    before, _ = load_model(files / "model.pt", AVCAT)
    after, _ = load_model(tmp_path / "person.pt", AVCAT)
    for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_more_is_kept_than_there_is_room_for(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a second clip only the rest of ten minutes, here 40 frames, and of a third nothing."""
    monkeypatch.setattr("avcat.dubbing.fit._CACHED_FRAMES", 100)
    done = fit([files / "talk.mp4"] * 3, files / "model.pt", tmp_path / "p.pt", MediaPipeDetector(), steps=1)
    assert (done.frames, done.held_out) == (48 + 30, 12 + 10)


def test_too_little_is_told(files: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"brief\.mp4: shows no face, with sound, for 1\.2 s on end"):
        fit([files / "brief.mp4"], files / "model.pt", tmp_path / "person.pt", MediaPipeDetector())
    assert list(tmp_path.iterdir()) == []


def test_the_command(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "person.pt"
    command = ["fit", str(files / "talk.mp4"), "--model", str(files / "model.pt"), "--steps", "2"]
    assert main([*command, "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "held-out error" in said.out
    precision = read_facts(out).facts["fitted_precision"]
    assert said.out.rstrip().endswith(precision)
    assert precision in ("fp32", "bf16")
    assert "fit" in said.err
    assert main([*command, "-o", str(tmp_path / "person.mp4")]) == 2
    assert "must end in .pt" in capsys.readouterr().err
