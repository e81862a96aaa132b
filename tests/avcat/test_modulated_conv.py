"""Equation 6 against a loop over its indices."""

import pytest
import torch
import torch.nn.functional as F

from avcat.nn.convs import ModulatedConv2d


@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_modulation_equals_equation_6_written_out_times_a_gain(gain: float) -> None:
    torch.manual_seed(0)
    conv = ModulatedConv2d(3, 4, 3, style_dim=5, gain=gain)
    torch.nn.init.normal_(conv.style.weight)
    torch.nn.init.normal_(conv.bias)
    x, f_a = torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    expected = []
    for b in range(2):
        s = conv.style(f_a[b])
        weight = torch.zeros_like(conv.weight)
        for n in range(4):
            energy = sum((s[m] * conv.weight[n, m]).square().sum() for m in range(3))
            for m in range(3):
                weight[n, m] = gain * s[m] * conv.weight[n, m] / torch.sqrt(energy + 1e-8)
        expected.append(F.conv2d(x[b : b + 1], weight, conv.bias, padding=1))
    torch.testing.assert_close(conv(x, f_a), torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_stride_halves_the_map() -> None:
    conv = ModulatedConv2d(3, 4, 3, style_dim=5, stride=2)
    assert conv(torch.randn(1, 3, 8, 8), torch.randn(1, 5)).shape == (1, 4, 4, 4)
