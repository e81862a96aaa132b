"""Pixel losses: L1 and L1 of edges, weighted towards the mouth. Not in the paper; small profiles train with them."""

import torch
from torch import Tensor, nn

MOUTH_Y = 0.70  # a little below the closed lips: they open downwards
MOUTH_SPREAD = (0.117, 0.091)  # of the Gaussian around it, horizontal and vertical, as fractions of the side


class PixelLoss(nn.Module):
    """Compares pictures where `hidden` is 1, weighted by `mouth_map`, normalised to mean 1 so that L1 stays a mean."""

    weights: Tensor

    def __init__(self, hidden: Tensor, mouth: float) -> None:
        """`hidden` is `[1, 1, S, S]`, 1 where a picture is redrawn; outside, it equals the truth."""
        super().__init__()
        weights = hidden * mouth_map(hidden.shape[-1], mouth).to(hidden.device)
        self.register_buffer("weights", weights / weights.mean(), persistent=False)

    def l1(self, picture: Tensor, truth: Tensor) -> Tensor:
        """Mean absolute difference of `[B, 3, S, S]` and the truth."""
        return ((picture.float() - truth).abs() * self.weights).mean()

    def edges(self, picture: Tensor, truth: Tensor) -> Tensor:
        """L1 of each pixel's differences to its left and upper neighbour: lips become sharp sooner."""
        error = picture.float() - truth
        across = error.diff(dim=-1).abs() * self.weights[:, :, :, 1:]
        down = error.diff(dim=-2).abs() * self.weights[:, :, 1:]
        return across.mean() + down.mean()


def mouth_map(size: int, peak: float) -> Tensor:
    """`[S, S]`: 1, rising to `peak` where alignment by the eyes puts the mouth.

    In the crops of the small profiles, which are the only ones to use it, closed lips lie at 0.62 to 0.73 of the
    height. They are few pixels among many that never move.
    """
    at = (torch.arange(size) + 0.5) / size
    bell = torch.exp(-(((at - MOUTH_Y) / MOUTH_SPREAD[1]) ** 2) / 2)[:, None]
    return 1 + (peak - 1) * bell * torch.exp(-(((at - 0.5) / MOUTH_SPREAD[0]) ** 2) / 2)
