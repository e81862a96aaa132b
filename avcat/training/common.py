"""What both tasks do alike: the update with clipping and NaN guard, EMA, seeds, autocast."""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avcat.config import OptimiserConfig
from avcat.seeding import seed_of
from avcat.training.augment import LIGHT_DRAWS, MOVE_DRAWS
from avcat.training.ranks import average_gradients


class Resumable:
    """A task whose state is that of its `parts`, attributes that have a state dict."""

    parts: tuple[str, ...]

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {name: getattr(self, name).state_dict() for name in self.parts}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])


def autocast(config: OptimiserConfig, device: str) -> AbstractContextManager[None]:
    """bf16 where the settings say so."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=config.precision == "bf16")


def step_draws(config: OptimiserConfig, step: int, share: range, *, windows: int = 1) -> Tensor:
    """Uniform numbers in 0..1 for the windows of our share of a step's batch, `[W, LIGHT_DRAWS + MOVE_DRAWS]`."""
    random = torch.Generator().manual_seed(seed_of("step", config.seed, step))
    draws = torch.rand(config.batch_clips, windows, LIGHT_DRAWS + MOVE_DRAWS, generator=random)
    return draws[share.start : share.stop].flatten(0, 1)


def adam(parameters: Iterable[nn.Parameter], learning_rate: float, config: OptimiserConfig) -> torch.optim.Optimizer:
    """AdamW over the parameters that learn."""
    learning = [p for p in parameters if p.requires_grad]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(learning, learning_rate, betas=betas, weight_decay=config.weight_decay)


def ema_of(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights, which forgets faster while it is young."""

    @torch.no_grad()
    def average(averages: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        n = int(updates)
        torch._foreach_lerp_(list(averages), list(weights), 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(network, multi_avg_fn=average)


def update(optimiser: torch.optim.Optimizer, loss: Tensor, learning_rate: float, clip: float) -> float:
    """Backward, mean over all ranks, clip, step; returns the gradient's norm before clipping.

    A gradient that is not finite is not used.
    """
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, clip).item()
    if math.isfinite(norm):
        optimiser.step()
    return norm
