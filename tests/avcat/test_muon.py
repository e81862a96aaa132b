"""Muon against torch's own, and training with it."""

import itertools
import math

import pytest
import torch
from small_training import OPTIMISER, TRAIN
from torch.optim._muon import _zeropower_via_newtonschulz as torch_orthogonal

from avcat.methods.avcat.model import AVCAT
from avcat.nn.attention import PositionBias
from avcat.training.muon import STEPS, A, B, C, Muon, newton_schulz, orthogonal
from avcat.training.optimiser import Optimiser

SHAPES = [(7, 7), (16, 16), (12, 20), (20, 12), (12, 24), (24, 12), (8, 60), (60, 8), (64, 576), (256, 300), (1, 9)]


def plain(matrix: torch.Tensor) -> torch.Tensor:
    """torch's iteration in float64."""
    x = matrix.double()
    x = x if len(x) <= x.shape[1] else x.T
    x = x / x.norm()
    for _ in range(STEPS):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


@pytest.mark.parametrize("shape", SHAPES)
def test_the_iteration_is_torch_s(shape: tuple[int, int]) -> None:
    torch.manual_seed(sum(shape))
    matrix = torch.randn(shape)
    found = newton_schulz(matrix[None])[0]
    torch.testing.assert_close(found.double(), plain(matrix), rtol=0, atol=1e-5)
    in_bf16 = torch_orthogonal(matrix, (A, B, C), STEPS, 1e-7).float()
    torch.testing.assert_close(found, in_bf16, rtol=0, atol=0.05)


@pytest.mark.parametrize("rank", [1, 3])
def test_directions_that_a_gradient_lacks_stay_out(rank: int) -> None:
    torch.manual_seed(rank)
    matrix = torch.randn(12, rank) @ torch.randn(rank, 80)
    found = newton_schulz(matrix[None])[0]
    torch.testing.assert_close(found.double(), plain(matrix), rtol=0, atol=1e-3)  # of singular values 0, noise
    values = torch.linalg.svdvals(found)
    assert values[:rank].min() > 0.6
    assert values[rank:].max() < 1e-2


def test_nothing_stays_nothing() -> None:
    assert not newton_schulz(torch.zeros(2, 3, 9)).any()


def test_matrices_come_back_in_their_order() -> None:
    torch.manual_seed(0)
    matrices = [torch.randn(shape) for shape in ((3, 4), (9, 2), (3, 4), (2, 9), (9, 2))]
    for matrix, found in zip(matrices, orthogonal(matrices), strict=True):
        torch.testing.assert_close(found, newton_schulz(matrix[None])[0])


def test_steps_are_those_of_torch_s_muon() -> None:
    """Momentum and size of the step; torch's direction is in bf16."""
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(6, 40)) for _ in range(2))
    optimisers = (
        Muon([ours], 0.02),
        torch.optim.Muon([theirs], 0.02, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        ours.grad = torch.randn(6, 40)
        theirs.grad = ours.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    moved = (theirs.detach() - 1).abs().max().item()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02 * moved)


def test_without_gradients_nothing_happens() -> None:
    weight = torch.nn.Parameter(torch.ones(3, 4))
    Muon([weight], 0.1).step()
    assert torch.equal(weight, torch.ones(3, 4))


def test_it_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(4, 5, 30)

    def walk(stop_at: int | None) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.zeros(5, 30))
        optimiser = Muon([weight], 0.1)
        for number, gradient in enumerate(gradients):
            if number == stop_at:
                state = optimiser.state_dict()
                optimiser = Muon([weight], 0.1)
                optimiser.load_state_dict(state)
            weight.grad = gradient.clone()
            optimiser.step()
        return weight.detach()

    assert torch.equal(walk(2), walk(None))


def test_tables_and_rgb_belong_to_adamw() -> None:
    network = AVCAT(TRAIN.model).to(memory_format=torch.channels_last)
    optimiser = Optimiser(network, 1e-3, OPTIMISER)
    adamw, muon = optimiser.parts
    assert isinstance(muon, Muon)
    by_adamw = {id(p) for group in adamw.param_groups for p in group["params"]}
    tables = [module.table for module in network.modules() if isinstance(module, PositionBias)]
    rgb = [p for p in network.parameters() if p.ndim == 4 and len(p) == 3]
    assert tables
    assert len(rgb) == 2
    assert {id(p) for p in itertools.chain(tables, rgb)} <= by_adamw
    taught = len(by_adamw) + sum(len(group["params"]) for group in muon.param_groups)
    assert taught == len(list(network.parameters()))
    wide = {id(p) for p in network.parameters() if p.ndim in (2, 4)} - {id(p) for p in itertools.chain(tables, rgb)}
    assert not wide & by_adamw


def test_a_kernel_turns_alike_in_all_directions() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    before = layer.weight.detach().clone()
    optimiser = Optimiser(layer, 1e-3, OPTIMISER)
    assert {id(p) for p in optimiser.parameters} == {id(p) for p in layer.parameters()}
    scales = torch.logspace(0, -2, 8)[:, None, None, None]  # a gradient of very unequal rows
    optimiser.backward((layer.weight * torch.randn_like(before) * scales).sum())
    optimiser.step(1e-3, math.inf)
    step = (layer.weight.detach() - before).flatten(1) / (1e-3 * 0.2 * math.sqrt(36))  # as AdamW's size has it
    singular = torch.linalg.svdvals(step)
    assert singular.max() < 1.3
    assert singular.min() > 0.6
    optimiser.zero_grad()
    assert layer.weight.grad is None
