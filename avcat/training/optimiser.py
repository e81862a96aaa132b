"""How weights are updated: AdamW and Muon, the learning rate's course, clipping, and the moving average."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avcat.settings import Count, Fraction, Natural, Rate, settings
from avcat.training.muon import Muon
from avcat.training.ranks import average_gradients

RGB = 3  # channels of a picture


@settings
class OptimiserConfig:
    muon: bool  # matrices and kernels by Muon, the rest by AdamW; False: everything by AdamW
    steps: Count
    batch_clips: Count  # global batch: each clip contributes 5 consecutive frames
    learning_rate: Rate
    warmup_steps: Natural
    beta1: Fraction
    beta2: Fraction
    gradient_clip: Rate
    ema_decay: Fraction
    precision: Literal["auto", "fp32", "bf16", "fp16"]  # auto: bf16 if the device has instructions for it, else fp32
    seed: Natural
    validate_every: Count
    checkpoint_every: Count
    keep_checkpoints: Count


def learning_rate_factor(step: int, config: OptimiserConfig) -> float:
    """Linear warm-up, then half a cosine down to 0."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    span = max(1, config.steps - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - config.warmup_steps) / span)))


class Optimiser:
    """One or two torch optimisers that share the parameters that learn: matrices to Muon if wanted, else AdamW.

    A convolution's kernel is a matrix from its input patch to its output at one place. Tables of position biases and
    kernels that end in RGB are not maps between features, so AdamW updates them. In fp16 losses are scaled up, so that
    small gradients do not vanish, and gradients are scaled back (torch's GradScaler).
    """

    def __init__(self, network: nn.Module, learning_rate: float, config: OptimiserConfig) -> None:
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        chosen = _matrices(network) if config.muon else set()
        self._kernels = [p for p in self.parameters if p.ndim == 4 and p in chosen]
        self._views = [nn.Parameter(_as_matrix(p.detach())) for p in self._kernels]  # which share their memory
        assert all(view.data_ptr() == p.data_ptr() for view, p in zip(self._views, self._kernels, strict=True))
        matrices = [p for p in self.parameters if p.ndim == 2 and p in chosen] + self._views
        others = [p for p in self.parameters if p not in chosen]
        betas = (config.beta1, config.beta2)
        self.parts: list[torch.optim.Optimizer] = []
        if others:
            self.parts.append(torch.optim.AdamW(others, learning_rate, betas=betas, weight_decay=0.0))
        if matrices:
            self.parts.append(Muon(matrices, learning_rate))
        self._stepped = others + matrices
        device = self.parameters[0].device.type if self.parameters else "cpu"
        self._scaler = torch.amp.GradScaler(device, enabled=config.precision == "fp16")

    def backward(self, loss: Tensor) -> None:
        """Adds a loss's gradients, scaled, to the existing ones."""
        self._scaler.scale(loss).backward()

    def step(self, learning_rate: float, most: float) -> float:
        """One step along the mean of all ranks' gradients, clipped to the norm `most`; returns the norm before.

        Gradients that are not finite are not used.
        """
        average_gradients(self.parameters)
        for kernel, view in zip(self._kernels, self._views, strict=True):
            view.grad = None if kernel.grad is None else _as_matrix(kernel.grad)
        for part in self.parts:
            self._scaler.unscale_(part)
        norm = nn.utils.clip_grad_norm_(self._stepped, most).item()
        if math.isfinite(norm):
            for part in self.parts:
                for group in part.param_groups:
                    group["lr"] = learning_rate
                part.step()
        self._scaler.update()  # lowered if gradients were not finite, raised after many that were
        return norm

    def zero_grad(self) -> None:
        """Clears all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> list[dict[str, Any]]:
        """Of each part, and of the scale."""
        return [*(part.state_dict() for part in self.parts), self._scaler.state_dict()]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """The inverse of `state_dict`."""
        for part, content in zip(self.parts, state[:-1], strict=True):
            part.load_state_dict(content)
        if self._scaler.is_enabled():  # a disabled one has no state, and takes none
            self._scaler.load_state_dict(state[-1])


def _matrices(network: nn.Module) -> set[nn.Parameter]:
    """The parameters that Muon can update. A module names its `tables`: 2-D, but not maps between features."""
    tables = {getattr(module, name) for module in network.modules() for name in getattr(module, "tables", ())}
    return {p for p in network.parameters() if (p.ndim == 2 and p not in tables) or (p.ndim == 4 and p.shape[0] != RGB)}


def _as_matrix(kernel: Tensor) -> Tensor:
    """`[outputs, inputs, h, w]` in channels_last order as `[outputs, h w inputs]`, in the same memory."""
    return kernel.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).view(kernel.shape[0], -1)


def ema_of(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights, with a lower decay in the first updates."""

    @torch.no_grad()
    def average(averages: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        n = int(updates)
        torch._foreach_lerp_(list(averages), list(weights), 1 - min(decay, (1 + n) / (10 + n)))

    return AveragedModel(network, multi_avg_fn=average)
