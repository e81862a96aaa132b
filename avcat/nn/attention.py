"""Windowed multi-head attention (paper, equation 1) over tokens normalised as in MAT.

Shape suffixes:
    B: batch      H, W: sides of the map    C: channels
    G: windows of one map                   N: tokens of one window    h: heads    d: channels of one head
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avcat.errors import InputError
from avcat.nn.init import linear
from avcat.nn.references import repeated

# Tokens far inside the masked region start as zeros: dividing by their length alone would make gradients of any size.
SOFTENING = 1e-2
# On these devices the fast kernels want heads whose size is a multiple of ALIGNED; the paper's is 30.
PADDED_ON, ALIGNED = ("cuda",), 8


class Windows(NamedTuple):
    """How one block cuts its map: into squares of `size`, moved by `shift` to the right and down."""

    size: int
    shift: int


class Context(NamedTuple):
    """Keys and values of a whole map, cut into windows: what queries attend to. Can be kept and used again."""

    k_BGhNd: Tensor
    v_BGhNd: Tensor


def windows_for(block: int, window: int, side: int) -> Windows:
    """The windows of block number `block` (0-based) on a square map of `side` tokens.

    Odd blocks are shifted by half a window. A map no larger than the window is one window, unshifted.
    Raises InputError if the window does not divide the map.
    """
    if side <= window:
        return Windows(side, 0)
    if side % window:
        raise InputError(f"model.backbone: a map of {side} x {side} cannot be cut into windows of {window}")
    return Windows(window, window // 2 if block % 2 else 0)


def partition(x_BHWC: Tensor, windows: Windows) -> Tensor:
    """Cuts maps into windows: `[B, H, W, C]` -> `[B, G, N, C]`, rolled by the shift first."""
    if windows.shift:
        x_BHWC = x_BHWC.roll((-windows.shift, -windows.shift), (1, 2))
    b, h, w, c = x_BHWC.shape
    s = windows.size
    return x_BHWC.view(b, h // s, s, w // s, s, c).transpose(2, 3).reshape(b, -1, s * s, c)


def merge(x_BGNC: Tensor, windows: Windows, height: int, width: int) -> Tensor:
    """The inverse of `partition`."""
    b, _, _, c = x_BGNC.shape
    s = windows.size
    x = x_BGNC.view(b, height // s, width // s, s, s, c).transpose(2, 3).reshape(b, height, width, c)
    return x.roll((windows.shift, windows.shift), (1, 2)) if windows.shift else x


def shift_mask(windows: Windows, height: int, width: int) -> Tensor | None:
    """Which pairs of tokens may attend to each other: bool `[G, 1, N, N]`, None if all may.

    Rolling brings the map's far edges together in one window; they are not neighbours.
    """
    if not windows.shift:
        return None

    def region(side: int) -> Tensor:
        at = torch.arange(side)
        return (at >= side - windows.size).int() + (at >= side - windows.shift).int()

    regions = region(height)[:, None] * 3 + region(width)[None]
    regions_GN = partition(regions[None, :, :, None], Windows(windows.size, 0))[0, :, :, 0]
    return (regions_GN[:, None, :, None] == regions_GN[:, None, None, :]).contiguous()


class WindowAttention(nn.Module):
    """Attention inside windows, from the tokens of one map to those of the same or of another.

    Queries and keys come from L2-normalised tokens, values from raw ones (MAT).
    Normalised tokens are scaled to sqrt(C) times a learned gain: with it the logits start with a spread of about one.
    With length one and torch's default weights, attention would be uniform to within two per cent.
    """

    def __init__(self, *, dim: int, heads: int, bias_side: int | None = None) -> None:
        """`bias_side` is the side of the windows, for a relative position bias of their tokens; None for no bias."""
        super().__init__()
        self.heads = heads
        self.position = PositionBias(heads, bias_side) if bias_side else None
        self.gain = nn.Parameter(torch.ones(()))
        self.query, self.key = linear(dim, dim), linear(dim, dim)
        self.value, self.out = linear(dim, dim), linear(dim, dim)

    def context(self, x_BHWC: Tensor, windows: Windows) -> Context:
        """Keys and values of a map `[B, H, W, C]`."""
        x_BGNC = partition(x_BHWC, windows)
        return Context(self._split(self.key(self._normalised(x_BGNC))), self._split(self.value(x_BGNC)))

    def forward(self, x_BHWC: Tensor, context: Context, windows: Windows, mask: Tensor | None) -> Tensor:
        """Attention of the tokens of `x_BHWC` to `context`: `[B, H, W, C]`.

        A context of R maps serves a batch of B = R n: map r serves the n entries from r n on.
        """
        b, height, width, _ = x_BHWC.shape
        q_BGhNd = self._split(self.query(self._normalised(partition(x_BHWC, windows))))
        k, v = (repeated(part, b) for part in context)
        _, count, heads, n, _ = q_BGhNd.shape
        bias = None if self.position is None else self.position()[None]
        if mask is not None:
            outside = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)
            bias = outside if bias is None else outside + bias
        if bias is not None:  # of all windows and heads, once for the whole batch
            bias = bias.expand(count, heads, n, n).reshape(1, count * heads, n, n)
        y_BGhNd = attend(q_BGhNd.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), bias).unflatten(1, (count, heads))
        y_BGNC = y_BGhNd.transpose(2, 3).flatten(3)
        return merge(self.out(y_BGNC), windows, height, width)

    def _normalised(self, x: Tensor) -> Tensor:
        mean_square = x.float().square().mean(-1, keepdim=True)
        return x * (self.gain * torch.rsqrt(mean_square + SOFTENING)).to(x.dtype)

    def _split(self, x_BGNC: Tensor) -> Tensor:
        return x_BGNC.unflatten(-1, (self.heads, -1)).transpose(2, 3)


class PositionBias(nn.Module):
    """What each head adds to its logits for each step from query to key, learned (Swin's B; equation 1 has none).

    It starts at -slope x distance: the first head attends to its own place, the last one uniformly. Without it
    a token deep inside the masked region has no position, and cannot find its place in the reference.
    """

    index: Tensor
    tables = ("table",)  # parameters that are no maps between features: Muon is not for them

    def __init__(self, heads: int, side: int) -> None:
        super().__init__()
        steps = torch.arange(1 - side, side)
        distance = (steps[:, None].square() + steps[None].square()).float().sqrt().flatten()
        slopes = torch.linspace(4, 0, heads)
        self.table = nn.Parameter(-slopes[:, None] * distance)  # [h, (2 side - 1)^2]
        at = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        step = at[None, :] - at[:, None] + side - 1
        self.register_buffer("index", step[..., 0] * (2 * side - 1) + step[..., 1], persistent=False)

    def forward(self) -> Tensor:
        """`[h, N, N]`, queries by keys."""
        return self.table[:, self.index]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Equation 1: queries, keys and values `[B, heads, N, d]`, what is added to the logits `[1, heads, N, N]`.

    In bf16 on a CPU as products: torch's kernel takes eight times as long there (decision 0005).
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):  # which would copy every map of logits to fp32 and back
            logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            return (logits if bias is None else logits + bias.to(q.dtype)).softmax(-1) @ v
    d = q.shape[-1]
    if q.device.type in PADDED_ON and d % ALIGNED:
        q, k, v = (F.pad(x, (0, ALIGNED - d % ALIGNED)) for x in (q, k, v))
    mask = None if bias is None else bias.to(q.dtype).expand(q.shape[0], -1, -1, -1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=d**-0.5)[..., :d]
