"""Muon (Jordan et al., 2024): steps of equal size in every direction of a matrix.

torch has one (`torch.optim.Muon`), and this one gives the same in fp32. It casts to bf16, which processors without
instructions for bf16 emulate at a twentieth of the speed. This one computes in fp32 everywhere, matrices of one shape
together and wide ones by their small Gram matrix, and takes half of the time that bf16 takes if that is native
(docs/decisions/0010-muon-in-fp32.md).
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic a x + b x^3 + c x^5 (Jordan et al.)
STEPS = 5
EPS = 1e-7
WIDE = 2  # columns per row from which the Gram matrix costs less
ADAMW_RMS = 0.2  # root mean square of AdamW's steps (Liu et al., 2025), so that both take one learning rate


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, scaled to the size of AdamW's steps."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, *, momentum: float = 0.95) -> None:
        """`matrices` are 2-D, fp32."""
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step for all matrices that have a gradient."""
        for group in self.param_groups:
            matrices = [p for p in group["params"] if p.grad is not None]
            if not matrices:
                continue
            gradients = [p.grad for p in matrices]
            for p in matrices:
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            buffers = [self.state[p]["momentum_buffer"] for p in matrices]
            torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
            directions = orthogonal(torch._foreach_lerp(gradients, buffers, group["momentum"]))
            for p, direction in zip(matrices, directions, strict=True):
                p.add_(direction, alpha=-group["lr"] * ADAMW_RMS * max(p.shape) ** 0.5)


def orthogonal(matrices: Iterable[Tensor]) -> list[Tensor]:
    """U S' V^T for each matrix U S V^T, with S' between about 0.7 and 1.2; `float32 [m, n]`, of any shapes."""
    given = list(matrices)
    by_shape: defaultdict[torch.Size, list[int]] = defaultdict(list)
    for number, matrix in enumerate(given):
        by_shape[matrix.shape].append(number)
    found: dict[int, Tensor] = {}
    for numbers in by_shape.values():
        found |= zip(numbers, newton_schulz(torch.stack([given[n] for n in numbers])), strict=True)
    return [found[n] for n in range(len(given))]


def newton_schulz(stack: Tensor) -> Tensor:
    """The Newton-Schulz iteration on matrices `float32 [N, m, n]`.

    X <- (a + b G + c G^2) X with G = X X^T, which is as small as the shorter side. All factors commute with G, so that
    of wide matrices only their product Q is needed: G <- P G P and Q <- P Q with P = a + b G + c G^2, at the end Q X.
    """
    if stack.shape[1] > stack.shape[2]:
        return newton_schulz(stack.mT).mT
    x = stack / torch.linalg.matrix_norm(stack, keepdim=True).clamp(min=EPS)
    return _by_gram(x) if x.shape[2] >= WIDE * x.shape[1] else _by_matrix(x)


def _by_matrix(x: Tensor) -> Tensor:
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x


def _by_gram(x: Tensor) -> Tensor:
    gram = x @ x.mT
    product = factor = _factor(gram)
    for _ in range(STEPS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    return product @ x


def _factor(gram: Tensor) -> Tensor:
    factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    factor.diagonal(dim1=-2, dim2=-1).add_(A)
    return factor
