"""ONNX files: they draw what torch draws, for any batch; unusable files give a message."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from drawn import ALIGN, MEL, face_picture, tone, write_video
from test_cli import TINY

import avcat.inference.export
from avcat.apps.cli import main
from avcat.checkpoint import save_model
from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.inference.export import export
from avcat.inference.onnx_network import load_onnx
from avcat.inference.redraw import Redrawer
from avcat.media.video import decode
from avcat.methods import build
from avcat.methods.avcat.model import ModelConfig
from avcat.methods.avcat.refinement import RefinementConfig
from avcat.methods.makeittalk.model import MakeItTalkConfig
from avcat.methods.pc_avs.model import PCAVSConfig
from avcat.methods.wav2lip.model import Wav2LipConfig
from avcat.methods.wav2lip_rn.model import Wav2LipRNConfig
from avcat.nn.audio import AudioEncoderConfig
from avcat.settings import to_dict

SIZE = TINY.image_size
AUDIO = TINY.audio
PC_AVS = PCAVSConfig(SIZE, AUDIO, width=4, encoder_width=4, max_width=8, identity_dim=16, mouth_dim=8, pose_dim=4)
RN_ONLY = replace(
    TINY,
    audio=AudioEncoderConfig("resnet_se", 8, 16),
    backbone=None,
    refinement=RefinementConfig(width=4, depth=2, max_width=8, reference=True),
)
OTHER_WAY = replace(  # every option that changes the backbone's graph
    TINY,
    backbone=replace(
        TINY.backbone,  # type: ignore[type-var]
        depths=(1, 2, 1, 1, 1),
        encoder_stride=1,
        skips=True,
        position_bias=True,
    ),
    refinement=None,
)


def write_model(path: Path, kind: str, config: Any) -> Path:
    torch.manual_seed(0)
    inputs = InputConfig(crop_size=64, align=ALIGN, mel=MEL)
    save_model(path, kind, build(kind, to_dict(config)), config, inputs, {"steps": 12})
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("export")
    model = write_model(folder / "model.pt", "pc_avs", PC_AVS)  # the quickest one to export
    assert main(["export", str(model), "-o", str(folder / "model.onnx"), "-q"]) == 0
    return model, folder / "model.onnx"


def assert_draws_alike(model: Path, out: Path, batch_frames: int = 8) -> None:
    """Crops by both, a batch of one, a whole and a broken one; where nothing is redrawn they are the source's."""
    rng = np.random.default_rng(0)
    both = [Redrawer.from_checkpoint(path, batch_frames=batch_frames, precision="fp32") for path in (model, out)]
    assert (both[0].crop_size, both[0].align, both[0].mel) == (both[1].crop_size, both[1].align, both[1].mel)
    reference = rng.integers(0, 256, (64, 64, 3), np.uint8)
    for count in (1, batch_frames, batch_frames + 1):
        crops = rng.integers(0, 256, (count, 64, 64, 3), np.uint8)
        mels = rng.random((count, 80, 20), np.float32)
        by_torch, by_onnx = (one.redraw(crops, mels, one.encode_reference(reference)) for one in both)
        assert np.abs(by_torch.astype(int) - by_onnx).max() <= 1
        assert (by_torch != crops).any()


def test_an_export_draws_what_torch_draws(exported: tuple[Path, Path]) -> None:
    assert_draws_alike(*exported)


@pytest.mark.slow
def test_the_reference_goes_through_its_branch_once(tmp_path: Path) -> None:
    """What is redrawn needs the reference's keys and values, and nothing of the picture they come from."""
    model = write_model(tmp_path / "model.pt", "avcat", TINY)
    assert export(model, tmp_path / "model.onnx").features == 2 * 5, "keys and values of five blocks"
    assert_draws_alike(model, tmp_path / "model.onnx", batch_frames=3)
    network = load_onnx(tmp_path / "model.onnx")[0]
    reference = network.encode_reference(torch.zeros(1, 3, SIZE, SIZE))
    frames, mels = torch.rand(2, 3, SIZE, SIZE), torch.rand(2, 80, 20)
    drawn = network(frames, reference, mels).prediction
    without = reference._replace(image=torch.full_like(reference.image, torch.nan))
    torch.testing.assert_close(network(frames, without, mels).prediction, drawn, rtol=0, atol=0)
    other = network.encode_reference(torch.ones(1, 3, SIZE, SIZE))
    assert not torch.equal(network(frames, other, mels).prediction, drawn)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("avcat", OTHER_WAY),
        ("avcat", RN_ONLY),
        ("wav2lip_rn", Wav2LipRNConfig(SIZE, AUDIO, 2, TINY.refinement)),
        ("wav2lip", Wav2LipConfig(SIZE, 2)),
    ],
    ids=["w/o RN, every option", "RN only", "Wav2Lip-L + RN", "Wav2Lip"],
)
def test_every_kind_of_generator(kind: str, config: ModelConfig, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt", kind, config)
    export(model, tmp_path / "model.onnx")
    assert_draws_alike(model, tmp_path / "model.onnx", batch_frames=3)


def test_a_network_that_fixes_the_batch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `len`, for instance, which the exporter takes for a constant."""
    model = write_model(tmp_path / "model.pt", "pc_avs", PC_AVS)
    monkeypatch.setattr("avcat.methods.pc_avs.model.repeated", lambda x, batch: x.repeat_interleave(int(batch), 0))
    with pytest.raises(InputError, match="fixes the batch when exported"):
        export(model, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_dub_by_onnx_runtime(exported: tuple[Path, Path], tmp_path: Path) -> None:
    import soundfile

    video = write_video(tmp_path / "face.mp4", iter([face_picture()] * 10))
    soundfile.write(tmp_path / "sound.wav", tone(0.4), 16_000)
    pictures = []
    for model in exported:
        out = tmp_path / f"{model.suffix[1:]}.mp4"
        words = ["dub", str(video), str(tmp_path / "sound.wav"), "-o", str(out), "--model", str(model)]
        assert main([*words, "--precision", "fp32", "-q"]) == 0
        pictures.append(np.stack([frame.image for frame in decode(out)]).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.1


def test_info(exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(exported[1])]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("pc_avs model in ONNX", "steps", "12", "largest difference to torch")), said


def test_what_differs_is_refused_and_not_written(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison is real: with another network in torch's place it fails."""
    torch.manual_seed(1)
    other = build("pc_avs", to_dict(PC_AVS)).eval()
    honest = avcat.inference.export._difference
    monkeypatch.setattr(avcat.inference.export, "_difference", lambda _, path, bands: honest(other, path, bands))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"model.pt: in ONNX its pictures differ by"):
        export(exported[0], tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_kinds_that_are_not_exported_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = MakeItTalkConfig(SIZE, AUDIO, hidden=8, lstm_layers=1, width=4, depth=2, max_width=8)
    model = write_model(tmp_path / "model.pt", "makeittalk", config)
    assert main(["export", str(model), "-o", str(tmp_path / "model.onnx")]) == 2
    assert "holds a model of kind makeittalk, one of kind avcat or pc_avs" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--precision", "bf16"], "runs on the processor, in fp32"),
        (["--compile"], "not compiled by torch"),
    ],
)
def test_dubbing_with_what_onnx_has_not(
    exported: tuple[Path, Path], tmp_path: Path, options: list[str], reason: str
) -> None:
    precision = options[1] if len(options) == 2 else "fp32"
    with pytest.raises(InputError, match=reason):
        Redrawer.from_checkpoint(exported[1], precision=precision, compile=len(options) == 1)  # type: ignore[arg-type]


def changed(source: Path, out: Path, **properties: str) -> Path:
    model = onnx.load(source)
    content = {entry.key: entry.value for entry in model.metadata_props} | properties
    onnx.helper.set_model_props(model, content)
    onnx.save(model, out)
    return out


def test_files_that_cannot_be_used(exported: tuple[Path, Path], tmp_path: Path) -> None:
    good, bad = exported[1], tmp_path / "bad.onnx"
    bad.write_bytes(good.read_bytes()[:3000])
    for path, reason in [
        (tmp_path / "none.onnx", "no such file"),
        (bad, "not an ONNX model, or a damaged one"),
        (changed(good, tmp_path / "a.onnx", format="other"), "not made by `avcat export`"),
        (changed(good, tmp_path / "b.onnx", version="99"), "format version 99"),
        (changed(good, tmp_path / "c.onnx", inputs="{}"), "of another version of this program"),
        (changed(good, tmp_path / "d.onnx", kind="syncnet"), "syncnet does not redraw frame by frame"),
    ]:
        with pytest.raises(InputError, match=reason):
            load_onnx(path)


def test_fit_wants_the_model_itself(exported: tuple[Path, Path], tmp_path: Path) -> None:
    from avcat.apps.checks import model_path

    with pytest.raises(InputError, match=r"give the model\.pt it was made from"):
        model_path(exported[1])


def test_without_the_extra(exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'avcat\[onnx\]'"):
        export(exported[0], tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"pip install 'avcat\[onnx\]'"):
        Redrawer.from_checkpoint(exported[1])
