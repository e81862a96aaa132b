"""The profile `paper` builds the paper's networks: their weights counted by hand, their maps, one step of training."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from avcat.data.windows import Batch
from avcat.methods.avcat.model import AVCAT
from avcat.methods.avcat.task import AVCATTask
from avcat.methods.syncnet.model import SyncNet
from stages._params import Params, load

C, HEADS, AUDIO = 180, 6, 512  # C0; MAT's heads; f_a of PC-AVS's encoder
DEPTHS = (2, 3, 4, 3, 2)
MAPS = (64, 32, 16, 32, 64)


@pytest.fixture(scope="module")
def params() -> Params:
    return load("paper")


@pytest.fixture(scope="module")
def network(params: Params) -> AVCAT:
    return AVCAT(params.train.model)


def weights_of(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def conv(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel * kernel + outputs


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def test_the_backbone_has_the_weights_that_the_paper_s_numbers_give(network: AVCAT) -> None:
    encoder = conv(3, C // 2, 3) + conv(C // 2, C, 3) + 2 * conv(C, C, 3)
    decoder = conv(C, C, 3) + conv(C, C // 2, 3) + conv(C // 2, C // 4, 3) + conv(C // 4, 3, 3)
    attention = 4 * linear(C, C) + 1  # q, k, v, out, and one gain
    mlp = linear(C, 2 * C) + linear(2 * C, C)
    block = 2 * attention + mlp + linear(2 * C, C)  # MSA, MMA, MLP, FC1
    hears = linear(AUDIO, C) + linear(C, C)  # f_a{k,l} and FC2, in the last three stages
    stages = [
        depth * (block + (hears if number > 2 else 0)) + conv(C, C, 3) + conv(C, C, 2)
        for number, depth in enumerate(DEPTHS, 1)
    ]
    assert network.backbone is not None
    assert weights_of(network.backbone.encoder) == encoder
    assert [weights_of(stage) for stage in network.backbone.stages] == stages
    assert weights_of(network.backbone) == encoder + sum(stages) + decoder == 10_820_191


def test_the_rest_of_the_generator(network: AVCAT) -> None:
    """The paper gives no size of E_a and G_R: these are ours, held so that a change is seen."""
    assert weights_of(network.audio) == 7_567_661
    assert weights_of(network.refinement) == 35_682_633


def test_every_map_has_the_paper_s_size(network: AVCAT) -> None:
    seen: list[tuple[int, ...]] = []

    def look(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        seen.append(tuple(output.shape[1:]))

    assert network.backbone is not None
    hooks = [m.register_forward_hook(look) for m in (network.backbone.encoder, *network.backbone.stages)]
    with torch.inference_mode():
        frame = torch.zeros(1, 3, 256, 256)
        redrawn = network(frame, network.encode_reference(frame), torch.zeros(1, 80, 20))
    for hook in hooks:
        hook.remove()
    # F of the reference, then F of the target and the main branch's stages; the reference's are called apart
    assert seen == [(C, 128, 128)] * 2 + [(C, side, side) for side in MAPS]
    assert redrawn.prediction.shape == (1, 3, 256, 256)
    assert [stage.windows[0].size for stage in network.backbone.stages] == [8, 16, 16, 16, 8]


class Noise:
    """Clips of noise, for a step that need not learn anything."""

    image_size, lengths, threads, skip_broken, bands = 256, [20], 1, False, 80

    def __len__(self) -> int:
        return 1

    def read_frames(self, clip: int, at: list[int], out: list[np.ndarray]) -> None:
        for picture in out:
            picture[:] = np.random.default_rng(clip).integers(0, 256, picture.shape, np.uint8)

    def mel(self, clip: int) -> np.ndarray:
        return np.random.default_rng(clip).random((80, 80), np.float32)


@pytest.mark.slow
def test_one_step_of_training_with_every_loss(params: Params) -> None:
    optimiser = dataclasses.replace(params.train.optimiser, batch_clips=1)
    config = dataclasses.replace(params.train, optimiser=optimiser, vgg_weights="random")
    store = Noise()
    task = AVCATTask(config, store, store, SyncNet(params.syncnet.model), "cpu")  # type: ignore[arg-type]
    before = [parameter.detach().clone() for parameter in task.network.parameters()]
    batch: Batch = task.sampler.batch(0)
    figures = task.step(0, batch)
    assert {"gan", "vgg", "sync", "intermediate_vgg", "discriminator"} <= figures.keys()
    assert all(map(math.isfinite, figures.values())), figures
    assert figures["gradient_norm"] > 0
    # Equation 10, and the VGG loss of the backbone's picture, which is ours
    terms = figures["gan"] + figures["vgg"] + 1e-4 * figures["sync"] + figures["intermediate_vgg"]
    assert figures["total"] == pytest.approx(terms, rel=1e-3)
    moved = [not torch.equal(a, b) for a, b in zip(before, task.network.parameters(), strict=True)]
    assert np.mean(moved) > 0.99
