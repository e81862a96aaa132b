"""Windowed attention against a slow one without windows, rolls or kernels."""

import math

import pytest
import torch

from avcat.errors import InputError
from avcat.nn.attention import SOFTENING, WindowAttention, Windows, merge, partition, shift_mask, windows_for

SIDE, DIM, HEADS = 8, 12, 3
CUTS = [Windows(8, 0), Windows(4, 0), Windows(4, 2)]


def slow_attention(attention: WindowAttention, x: torch.Tensor, y: torch.Tensor, windows: Windows) -> torch.Tensor:
    """Every token of x attends, one at a time, to the tokens of y in the same window of the *unrolled* map.

    A shifted window at the map's edge is cut off there: shifting moves the grid by `size - shift`, and tokens
    share a window when their shifted coordinates fall into the same cell.
    """
    side, d = x.shape[1], DIM // HEADS

    def normalised(token: torch.Tensor) -> torch.Tensor:
        length = (token.square().sum(-1, keepdim=True) + DIM * SOFTENING).sqrt()
        return attention.gain * math.sqrt(DIM) * token / length

    def cell(i: int, j: int) -> tuple[int, int]:
        if windows.shift == 0:
            return i // windows.size, j // windows.size
        offset = windows.size - windows.shift
        return (i + offset) // windows.size, (j + offset) // windows.size

    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for i in range(side):
            for j in range(side):
                q = attention.query(normalised(x[b, i, j]))
                near = [(m, n) for m in range(side) for n in range(side) if cell(m, n) == cell(i, j)]
                tokens = torch.stack([y[b, m, n] for m, n in near])
                k = attention.key(normalised(tokens))
                v = attention.value(tokens)
                heads = []
                for h in range(HEADS):
                    part = slice(h * d, (h + 1) * d)
                    bias = torch.zeros(len(near))
                    if attention.position is not None:
                        table = attention.position.table[h].view(2 * windows.size - 1, -1)
                        steps = [(m - i + windows.size - 1, n - j + windows.size - 1) for m, n in near]
                        bias = torch.stack([table[step] for step in steps])
                    weights = torch.softmax(k[:, part] @ q[part] / math.sqrt(d) + bias, 0)
                    heads.append(weights @ v[:, part])
                out[b, i, j] = attention.out(torch.cat(heads))
    return out


@pytest.mark.parametrize("windows", CUTS)
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_equals_the_slow_one_forward_and_backward(
    windows: Windows, mutual: bool, biased: bool, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`padded`: heads of 4 as on a GPU, filled up to 8."""
    monkeypatch.setattr("avcat.nn.attention.PADDED_ON", ("cpu",) if padded else ())
    torch.manual_seed(0)
    attention = WindowAttention(dim=DIM, heads=HEADS, bias_side=windows.size if biased else None)
    x = torch.randn(2, SIDE, SIDE, DIM, requires_grad=True)
    y = torch.randn(2, SIDE, SIDE, DIM) if mutual else x
    mask = shift_mask(windows, SIDE, SIDE)
    fast = attention(x, attention.context(y, windows), windows, mask)
    slow = slow_attention(attention, x, y, windows)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)
    weights = torch.randn_like(fast)
    (fast_gradient,) = torch.autograd.grad((fast * weights).sum(), x)
    (slow_gradient,) = torch.autograd.grad((slow * weights).sum(), x)
    torch.testing.assert_close(fast_gradient, slow_gradient, atol=1e-5, rtol=0)


@pytest.mark.parametrize("windows", CUTS)
def test_merge_undoes_partition(windows: Windows) -> None:
    x = torch.randn(3, SIDE, SIDE, 5)
    assert torch.equal(merge(partition(x, windows), windows, SIDE, SIDE), x)


def test_partition_keeps_rows_of_a_window_together() -> None:
    x = torch.arange(16.0).view(1, 4, 4, 1)
    assert partition(x, Windows(2, 0))[0, 1, :, 0].tolist() == [2, 3, 6, 7]
    assert partition(x, Windows(2, 1))[0, 0, :, 0].tolist() == [5, 6, 9, 10]


def test_odd_blocks_shift_and_small_maps_are_one_window() -> None:
    assert windows_for(0, 8, 64) == Windows(8, 0)
    assert windows_for(1, 8, 64) == Windows(8, 4)
    assert windows_for(1, 16, 16) == Windows(16, 0)
    assert windows_for(3, 16, 4) == Windows(4, 0)
    with pytest.raises(InputError, match="20 x 20"):
        windows_for(0, 8, 20)


@pytest.mark.parametrize("windows", CUTS)
def test_bf16_on_a_cpu_stays_near_float32(windows: Windows) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(dim=DIM, heads=HEADS)
    x, mask = torch.randn(2, SIDE, SIDE, DIM), shift_mask(windows, SIDE, SIDE)
    exact = attention(x, attention.context(x, windows), windows, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention(x, attention.context(x, windows), windows, mask)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.03, rtol=0)


def test_a_token_of_zeros_has_a_small_gradient() -> None:
    attention = WindowAttention(dim=DIM, heads=HEADS)
    x = torch.zeros(1, 4, 4, DIM, requires_grad=True)
    other = torch.randn(1, 4, 4, DIM)
    windows = Windows(4, 0)
    attention(x, attention.context(other, windows), windows, None).square().sum().backward()
    assert x.grad is not None
    assert 0 < x.grad.norm() < 1e3


def test_one_context_serves_many_frames() -> None:
    torch.manual_seed(0)
    windows = Windows(4, 2)
    attention = WindowAttention(dim=DIM, heads=HEADS)
    references, x = torch.randn(2, SIDE, SIDE, DIM), torch.randn(6, SIDE, SIDE, DIM)
    mask = shift_mask(windows, SIDE, SIDE)
    shared = attention(x, attention.context(references, windows), windows, mask)
    each = attention(x, attention.context(references.repeat_interleave(3, 0), windows), windows, mask)
    torch.testing.assert_close(shared, each)
