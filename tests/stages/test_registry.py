"""A trained model is registered with all its metadata, and comes out of the registry unchanged."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avcat.checkpoint import save_model
from avcat.errors import InputError
from avcat.inference.redraw import Redrawer
from avcat.methods.avcat.model import AVCAT
from avcat.methods.syncnet.model import SyncNet
from avcat.seeding import rng_of
from stages import _mlflow, export
from stages._mlflow import tracked
from stages._params import Params, load
from stages._registry import register

pytestmark = pytest.mark.filterwarnings(  # MLflow's own
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)

PARAMS = load("test")
NAME = "avcat-test-full"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two versions of one model, and a SyncNet, in a registry of its own."""
    folder = tmp_path_factory.mktemp("registry")
    before = _mlflow.mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_STAGE", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'runs.db'}")
        _mlflow.mlflow.set_tracking_uri(f"sqlite:///{folder / 'runs.db'}")
        for number in (1, 2):
            model = folder / f"trained-{number}.pt"
            network = AVCAT(PARAMS.train.model)
            save_model(model, "avcat", network, PARAMS.train.model, PARAMS.inputs, {"steps": number, "l1": 0.125})
            keep(model, "full", PARAMS, PARAMS.train)
        judge = SyncNet(PARAMS.syncnet.model)
        save_model(folder / "syncnet.pt", "syncnet", judge, PARAMS.syncnet.model, PARAMS.inputs, {"steps": 3})
        keep(folder / "syncnet.pt", "syncnet", PARAMS, PARAMS.syncnet)
        yield folder
        _mlflow.mlflow.set_tracking_uri(before)


def keep(model: Path, name: str, params: Params, settings: object) -> None:
    with tracked(f"train-{name}", {}):
        register(model, name, params, settings)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["export", *words])
    return export.main()


@pytest.mark.parametrize(("version", "steps"), [("1", 1), ("2", 2), (None, 2)])
def test_what_comes_out_is_what_went_in(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str | None, steps: int
) -> None:
    out = store / "new" / "model.pt"
    words = ["--version", version] if version else []
    assert run(monkeypatch, "--model", NAME, *words, "-o", str(out)) == 0
    assert out.read_bytes() == (store / f"trained-{steps}.pt").read_bytes()
    assert f"a model of kind avcat, {steps} steps" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["model.pt"]


def test_a_version_says_what_it_is(store: Path) -> None:
    client = _mlflow.mlflow.MlflowClient()
    version = client.get_model_version(NAME, "2")
    assert (version.tags["kind"], version.tags["profile"], version.tags["steps"]) == ("avcat", "test", "2")
    assert "| l1 | 0.125 |" in version.description
    assert "synth-words" in version.description
    here = Path(_mlflow.mlflow.artifacts.download_artifacts(f"models:/{NAME}/2"), "artifacts")
    config = json.loads((here / "config.json").read_text())
    assert config["training"]["optimiser"]["steps"] == PARAMS.train.optimiser.steps
    assert (here / "card.md").read_text() == version.description


def test_a_redrawing_model_is_served_as_its_signature_says(store: Path) -> None:
    served = _mlflow.mlflow.pyfunc.load_model(f"models:/{NAME}/2")
    size = PARAMS.inputs.crop_size
    rng = rng_of("served")
    crops = rng.integers(0, 255, (3, size, size, 3)).astype(np.uint8)
    mels = rng.random((3, 80, 20)).astype(np.float32)
    drawn = served.predict({"crops": crops, "mels": mels, "reference": crops[:1]})
    redrawer = Redrawer.from_checkpoint(store / "trained-2.pt")
    assert np.array_equal(drawn, redrawer.redraw(crops, mels, redrawer.encode_reference(crops[0])))
    with pytest.raises(_mlflow.mlflow.MlflowException, match="shape"):
        served.predict({"crops": crops[:, :-1], "mels": mels, "reference": crops[:1]})


def test_a_syncnet_is_served_too(store: Path) -> None:
    served = _mlflow.mlflow.pyfunc.load_model("models:/avcat-test-syncnet/1")
    size, rng = PARAMS.inputs.crop_size, rng_of("judged")
    crops = rng.integers(0, 255, (7, size, size, 3)).astype(np.uint8)
    cosines = served.predict({"crops": crops, "mel": rng.random((80, 28)).astype(np.float32)})
    assert cosines.shape == (3,)
    assert (np.abs(cosines) <= 1.00001).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "no_one"), f"no model 'no_one' in the registry, there are {NAME}, avcat-test-syncnet"),
        (("--model", "it's"), 'no model "it\'s" in the registry'),
        (("--model", NAME, "--version", "7"), f"{NAME}: no version '7', there are 1, 2"),
    ],
)
def test_unknown_names_and_versions_are_told(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    assert run(monkeypatch, *words, "-o", str(store / "none.pt")) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not (store / "none.pt").exists()


def test_only_a_model_file_s_name_is_taken(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--model", NAME, "-o", str(store / "model.bin")) == 2
    assert "a model file's name ends in .pt" in capsys.readouterr().err


def test_a_file_that_was_changed_in_the_store_is_refused(store: Path) -> None:
    shutil.copy(store / "trained-1.pt", store / "changed.pt")
    keep(store / "changed.pt", "changed", PARAMS, PARAMS.train)
    (held,) = (store / "mlruns").rglob("changed.pt")
    shutil.copy(store / "trained-2.pt", held)
    out = store / "out.pt"
    with pytest.raises(InputError, match="its file is not the one that was registered"):
        export.work("avcat-test-changed", "1", out)
    assert not out.exists()
