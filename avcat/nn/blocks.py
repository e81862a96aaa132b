"""One Transformer block, as the reference branch and as the main branch use it (paper, figure 3)."""

import torch
from torch import Tensor, nn

from avcat.nn.attention import Context, WindowAttention, Windows
from avcat.nn.init import RELU, RESIDUAL, linear


class MLP(nn.Sequential):
    """Two linear layers with a leaky ReLU between (MAT)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__(linear(dim, hidden, RELU), nn.LeakyReLU(0.2), linear(hidden, dim, RESIDUAL))


class Block(nn.Module):
    """One CCF-Transformer block that contains one Basic Transformer block.

    `basic` is the Basic block: it uses only the MSA and the MLP, so the reference branch has no weights of its own.
    `forward` is the CCF block, equations 2 to 5. Maps are `[B, H, W, C]`, f_a is `[B, A]`.
    """

    def __init__(
        self,
        *,
        dim: int,
        heads: int,
        mlp_ratio: float,
        bias_side: int | None,
        audio_dim: int | None,
    ) -> None:
        super().__init__()
        self.msa = WindowAttention(dim=dim, heads=heads, bias_side=bias_side)
        self.mma = WindowAttention(dim=dim, heads=heads, bias_side=bias_side)
        self.mlp = MLP(dim, int(dim * mlp_ratio))
        self.fc1 = linear(2 * dim, dim, 1.0 if audio_dim else RESIDUAL)
        self.audio = None if audio_dim is None else linear(audio_dim, dim)
        self.fc2 = None if audio_dim is None else linear(dim, dim, RESIDUAL)

    def basic(self, x: Tensor, windows: Windows, mask: Tensor | None) -> tuple[Tensor, Context]:
        """The reference branch: the block's output, and the keys and values for the main branch."""
        seen = self.mma.context(x, windows)
        x = x + self.msa(x, self.msa.context(x, windows), windows, mask)
        return x + self.mlp(x), seen

    def forward(
        self, x: Tensor, reference: Context, f_a: Tensor | None, windows: Windows, mask: Tensor | None
    ) -> Tensor:
        """The main branch: F_t{k,l} and the reference's context -> F_t{k,l+1}."""
        itself = self.msa(x, self.msa.context(x, windows), windows, mask)
        other = self.mma(x, reference, windows, mask)
        z = self.fc1(torch.cat((itself, other), -1))  # equation 2
        if self.audio is not None and self.fc2 is not None:
            assert f_a is not None
            z = self.fc2(self.audio(f_a)[:, None, None] + z)  # equation 3
        z = z + x  # equation 4
        return self.mlp(z) + z  # equation 5
