"""What a GPU computes is what the processor computes: `pytest -m gpu`, on a machine that has one."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import INPUTS, OPTIMISER, SYNC, TRAIN, make_store

from avcat.checkpoint import save_model
from avcat.data.windows import ClipStore
from avcat.inference.redraw import Redrawer
from avcat.methods.avcat.model import AVCAT
from avcat.methods.avcat.task import AVCATTask, TrainConfig
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.precision import Precision
from avcat.seeding import rng_of

DEVICE = "cuda"
PSNR_DB = 45.0
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # torch's compiler reads `.grad` of what is no leaf
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("gpu") / "shards")


def losses(store: ClipStore, config: TrainConfig, device: str, *, compiled: bool) -> list[dict[str, float]]:
    torch.manual_seed(5)
    task = AVCATTask(config, store, store, SyncNet(SYNC.model), device)
    if compiled:
        task.compile()
    return [task.step(n, task.sampler.batch(n)) for n in range(6)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("precision", "near"), [("fp32", 0.01), ("bf16", 0.05), ("fp16", 0.05)])
def test_a_step_teaches_what_it_teaches_on_a_processor(
    store: ClipStore, precision: Precision, near: float, compiled: bool
) -> None:
    plain = dataclasses.replace(TRAIN, optimiser=dataclasses.replace(OPTIMISER, muon=False))
    config = dataclasses.replace(plain, optimiser=dataclasses.replace(plain.optimiser, precision=precision))
    expected, found = losses(store, plain, "cpu", compiled=False), losses(store, config, DEVICE, compiled=compiled)
    assert found[0]["l1"] == pytest.approx(expected[0]["l1"], rel=near)
    assert found[0]["sync"] == pytest.approx(expected[0]["sync"], rel=near, abs=near)
    assert found[-1]["l1"] == pytest.approx(expected[-1]["l1"], rel=0.2)
    assert any(math.isfinite(row["gradient_norm"]) for row in found)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_pictures_are_those_of_a_processor(precision: Precision, compiled: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "model.pt", "avcat", AVCAT(TRAIN.model), TRAIN.model, INPUTS, {})
    crops = rng_of("gpu crops").integers(0, 255, (5, 64, 64, 3)).astype(np.uint8)
    windows = rng_of("gpu mels").random((5, 80, 20)).astype(np.float32)

    def drawn(device: str, precision: Precision, compiled: bool) -> np.ndarray:
        redrawer = Redrawer.from_checkpoint(tmp_path / "model.pt", device, 5, precision, compiled)
        return redrawer.redraw(crops, windows, redrawer.encode_reference(crops[0])).astype(float)

    error = np.square(drawn(DEVICE, precision, compiled) - drawn("cpu", "fp32", False))[:, 32:, 4:60].mean()
    assert 10 * math.log10(255**2 / max(error, 1e-9)) > PSNR_DB
