"""The command: its output and its exit code."""

import argparse
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from drawn import ALIGN, MEL, face_picture, numbered, tone, write_video
from painter import Painter

import avcat.inference.redraw
from avcat.apps import checks
from avcat.apps.checks import check_output
from avcat.apps.cli import _parser, main
from avcat.checkpoint import save_model
from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.media.video import probe
from avcat.methods import build
from avcat.methods.avcat.backbone import BackboneConfig
from avcat.methods.avcat.model import ModelConfig
from avcat.methods.avcat.refinement import RefinementConfig
from avcat.nn.audio import AudioEncoderConfig
from avcat.settings import to_dict

TINY = ModelConfig(
    image_size=32,
    audio=AudioEncoderConfig(kind="small", width=8, dim=16),
    backbone=BackboneConfig(
        dim=8,
        heads=2,
        depths=(1, 1, 1, 1, 1),
        windows=(4, 4, 4, 4, 4),
        mlp_ratio=2.0,
        encoder_stride=2,
        stage_strides=(2, 2, 2, -2, -2),
        audio_stages=(3, 4, 5),
        skips=False,
        position_bias=False,
    ),
    refinement=RefinementConfig(width=4, depth=2, max_width=8, reference=False),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_video(folder / "face.mp4", iter([face_picture()] * 10))
    write_video(folder / "no_one.mp4", numbered(10))
    soundfile.write(folder / "sound.wav", tone(0.6), 16_000)
    broken = tone(0.6)
    broken[5_000] = np.nan
    soundfile.write(folder / "nan.wav", broken, 16_000, "FLOAT")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video " * 50)
    torch.manual_seed(0)
    inputs = InputConfig(crop_size=64, align=ALIGN, mel=MEL)
    save_model(folder / "model.pt", "avcat", build("avcat", to_dict(TINY)), TINY, inputs, {"steps": 12})
    content = torch.load(folder / "model.pt", weights_only=True)
    torch.save({**content, "version": 99}, folder / "future.pt")
    torch.save({"weights": {}}, folder / "foreign.pt")
    (folder / "any.onnx").write_bytes(b"not looked at")
    (folder / "broken.pt").write_bytes((folder / "model.pt").read_bytes()[:3000])
    return folder


def test_dub_with_a_model(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out.mp4"
    code = main(
        [
            "dub",
            *map(str, (files / "face.mp4", files / "sound.wav")),
            "-o",
            str(out),
            "--model",
            str(files / "model.pt"),
        ]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "15 frames, 0 left as they were" in said.out
    assert "redraw" in said.err  # the progress bar
    assert probe(out).duration_s == pytest.approx(0.6, abs=1e-3)


def test_the_model_may_come_from_the_environment_and_quiet_is_quiet(
    files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVCAT_MODEL", str(files / "model.pt"))
    out = tmp_path / "out.mp4"
    assert main(["dub", str(files / "face.mp4"), str(files / "sound.wav"), "-o", str(out), "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert out.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"video": "none.mp4"}, "none.mp4: no such file"),
        ({"video": "empty.mp4"}, "empty.mp4: the file is empty"),
        ({"video": "text.mp4"}, "text.mp4: cannot be read"),
        ({"video": "sound.wav"}, "sound.wav: no video stream"),
        ({"video": "no_one.mp4"}, "no_one.mp4: no face in any of its 10 frames"),
        ({"audio": "none.wav"}, "none.wav: no such file"),
        ({"audio": "face.mp4"}, "face.mp4: no audio stream"),
        ({"audio": "text.mp4"}, "text.mp4: cannot be read"),
        ({"audio": "nan.wav"}, "nan.wav: holds samples that are no sound"),
        ({"syncnet": "none.pt"}, "--syncnet: prints what --quiet suppresses"),
        ({"model": "n" * 300 + ".pt"}, "cannot be opened (File name too long)"),
        ({"model": "none.pt"}, "none.pt: no such file"),
        ({"model": "future.pt"}, "future.pt: has format version 99"),
        ({"model": "foreign.pt"}, "foreign.pt: not a model file"),
        ({"model": "broken.pt"}, "broken.pt: not a model file"),
        ({"model": "sound.wav"}, "sound.wav: not a model file"),
        ({"out": "/proc/nowhere/out.mp4"}, "/proc/nowhere/out.mp4: cannot be written"),
        ({"video": "n" * 300 + ".mp4"}, "cannot be opened (File name too long)"),
        ({"out": "n" * 300 + ".mp4"}, "cannot be written (File name too long)"),
        ({"out": "out.avi"}, "its name must end in .mp4"),
        ({"out": "face.mp4"}, "face.mp4: is one of the inputs"),
        ({"out": "sound.wav/out.mp4"}, "out.mp4: cannot be written"),
        ({"model": "any.onnx", "reference": "same"}, "any.onnx takes one reference per clip"),
        ({"device": "cuda:77"}, "--device cuda:77: not usable here"),
        ({"device": "meta"}, "--device meta: not usable here"),
        ({"fit": "error"}, "shorter than the sound"),
        ({"face": "2"}, "face.mp4: no face that is number 2 in any of its 10 frames"),
        ({"voice": "left=none.wav"}, "none.wav: no such file"),
        ({"reference": "9"}, "face.mp4: no reference at 9 s, it lasts 0.40 s"),
        ({"video": "two\nlines.mp4"}, r"two\nlines.mp4: no such file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    files: Path, capfd: pytest.CaptureFixture[str], change: dict[str, str], reason: str
) -> None:
    before = {path: path.stat().st_size for path in files.rglob("*")}
    given = {"video": "face.mp4", "audio": "sound.wav", "out": "out.mp4", "model": "model.pt", **change}
    paths = {name: str(files / given[name]) for name in ("video", "audio", "out", "model")}
    named = ("device", "fit", "face", "voice", "reference", "syncnet")
    options = [f"--{name}={given[name]}" for name in named if name in given]
    code = main(["dub", paths["video"], paths["audio"], "-o", paths["out"], "--model", paths["model"], "-q", *options])
    out, err = capfd.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert reason in err
    assert err.count("\n") == 1
    assert {path: path.stat().st_size for path in files.rglob("*")} == before


def test_output_is_a_file_on_this_machine() -> None:
    with pytest.raises(InputError, match=r"s3:/bucket/out\.mp4: a URL"):
        check_output(Path("s3://bucket/out.mp4"), (), ".mp4", "an MP4 file")


def test_no_model_says_how_to_get_one(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVCAT_MODEL", raising=False)
    assert main(["dub", str(files / "face.mp4"), str(files / "sound.wav"), "-o", "out.mp4"]) == 2
    assert "make demo" in capsys.readouterr().err


def test_silence_is_warned_of(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(4800), 16_000)
    command = ["dub", str(files / "face.mp4"), str(tmp_path / "silence.wav"), "-o", str(tmp_path / "out.mp4"), "-q"]
    assert main([*command, "--model", str(files / "model.pt")]) == 0
    assert capsys.readouterr().err == "warning: the sound is silent, so the mouths rest\n"


def press_ctrl_c() -> None:
    """Handles the signal as if it were not ignored, as it is in a shell's background."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "ask",
    [press_ctrl_c, lambda: signal.raise_signal(signal.SIGTERM), lambda: signal.raise_signal(signal.SIGHUP)],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_interrupting_leaves_nothing(
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[], None],
) -> None:
    class Interrupted(Painter):
        def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: int | None) -> np.ndarray:
            ask()
            return super().redraw(crops, mel_windows, reference)

    monkeypatch.setattr(avcat.inference.redraw.Redrawer, "from_checkpoint", lambda *_, **__: Interrupted())
    command = ["dub", str(files / "face.mp4"), str(files / "sound.wav"), "-o", str(tmp_path / "out.mp4"), "-q"]
    assert main([*command, "--model", str(files / "model.pt")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_being_asked_twice_does_not_cut_the_cleaning_short(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a terminal and a parent may both ask."""
    done = []

    def busy(_: argparse.Namespace) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            done.append("cleaned")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("avcat.apps.commands.info._run", busy)
    assert main(["info", str(files / "sound.wav")]) == 130
    assert done == ["cleaned"]
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_hang_up_that_is_ignored_stays_so(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["info", str(files / "sound.wav")]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "sound" in capsys.readouterr().out


def test_a_file_system_that_fails_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/share/model.pt")

    monkeypatch.setattr("avcat.apps.commands.info._run", full)
    assert main(["info", str(files / "sound.wav")]) == 2
    assert capsys.readouterr().err == "error: /share/model.pt: No space left on device\n"


@pytest.mark.parametrize(
    "options",
    [
        *(["--batch", "0"], ["--reference", "soon"], ["--reference", "nan"], ["--reference", "-1"]),
        *(["--fit", "stretch"], ["--face", "tallest"], ["--face", "0"], ["--voice", "left"], ["--offset", "61"]),
        *(["--face", "²"], ["--batch", "²"]),
    ],
)
def test_bad_options_are_refused(files: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["dub", "a", "b", "-o", "c.mp4", *options])
    said = capsys.readouterr().err
    assert options[1] in said
    assert "invalid _" not in said  # argparse's words, with the name of a function
    assert "invalid positive" not in said


def test_a_reader_that_has_seen_enough_hears_no_complaint(files: Path) -> None:
    """As `avcat info model.pt | head -0`."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from avcat.apps.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "info", str(files / "model.pt")]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_info(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, wanted in [
        ("model.pt", ["avcat model, format 2", "steps", "12", "model.image_size", "32", "inputs.align.left_eye"]),
        ("face.mp4", ["video, h264", "320 x 320", "25.000", "10", "0.400 s", "none"]),
        ("sound.wav", ["sound, pcm_s16le", "16000 Hz", "0.600 s"]),
    ]:
        assert main(["info", str(files / name)]) == 0
        said = capsys.readouterr().out
        assert all(word in said for word in wanted), said


def test_info_of_a_song_with_a_cover(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with av.open(str(tmp_path / "song.mp3"), "w") as out:
        sound = out.add_stream("libmp3lame", rate=16_000, layout="mono")
        cover = out.add_stream("png")
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(tone(1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    with av.open(str(tmp_path / "song.mp3")) as song:
        assert len(song.streams.video) == 1
    assert main(["info", str(tmp_path / "song.mp3")]) == 0
    assert "sound, mp3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "no such file"), ("empty.mp4", "empty"), ("text.mp4", "neither"), ("future.pt", "version")],
)
def test_info_of_what_is_unknown(files: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str) -> None:
    assert main(["info", str(files / name)]) == 2
    assert reason in capsys.readouterr().err


def test_the_command_itself() -> None:
    """Its help answers at once (nothing heavy is imported for it), names every option, and shows examples."""
    code = "import sys; from avcat.apps.cli import main\n"
    code += "try: main(sys.argv[1:])\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, "dub", "--help"], capture_output=True, text=True, check=True)
    options = "model face voice fit reference offset fade-hidden sharpen syncnet device batch precision compile quiet"
    for word in ("VIDEO", "AUDIO", "examples:", *(f"--{name}" for name in options.split())):
        assert word in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "avcat.apps.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("avcat ")
    assert checks.MODEL_VARIABLE == "AVCAT_MODEL"


def test_fp16_on_a_processor_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dub", files / "face.mp4", files / "sound.wav", "-o", files / "half.mp4", "--model", files / "model.pt"]
    assert main([*map(str, words), "--precision", "fp16"]) == 2
    assert capsys.readouterr().err == "error: --precision fp16: is for GPUs; on a processor take bf16 or fp32\n"
    assert not (files / "half.mp4").exists()


def test_faces_are_named_once(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dub", files / "face.mp4", files / "sound.wav", "-o", files / "no.mp4", "--model", files / "model.pt"]
    assert main([*map(str, words), "--face", "left", "--voice", f"right={files / 'sound.wav'}"]) == 2
    assert capsys.readouterr().err.startswith("error: --face: not allowed with --voice, which names the faces")


def test_every_command_and_option_is_explained() -> None:
    """Each has a description, each argument a help text beyond its name."""

    def explained(parser: argparse.ArgumentParser, name: str) -> int:
        assert len(parser.description or "") > 20, name
        assert "%%" not in parser.format_help(), name
        inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for action in parser._actions:
            if action not in inner:
                assert len(action.help or "") > 5, f"{name} {action.dest}"
        return 1 + sum(explained(sub, f"{name} {key}") for a in inner for key, sub in a.choices.items())

    assert explained(_parser(), "avcat") >= 10
