"""Layers with initial weights that preserve the scale of activations.

The blocks have no LayerNorm (section 3.2.2), so nothing restores a shrinking signal: with torch's default weights the
eight convolutions and fourteen blocks shrink it by a factor of 100, and the biases outweigh the sound's contribution.
Branches that are added to a residual start small, so that a sum of many keeps its scale too.
"""

import math

from torch import nn

RELU = math.sqrt(2)  # gain before a (leaky) ReLU
RESIDUAL = 0.3  # gain at the end of a branch that is added to its input


def linear(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    """A linear layer with normal weights of spread gain / sqrt(inputs) and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs))
    nn.init.zeros_(layer.bias)
    return layer


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, gain: float = 1.0) -> nn.Conv2d:
    """A convolution with the same rule; padded to keep the side, unless its kernel is as large as its stride."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, 0 if kernel == stride else kernel // 2)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs * kernel * kernel))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
