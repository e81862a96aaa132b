"""Training by several processes at once: each computes its share of every batch, and all take the same step.

`torchrun` starts them and sets their ranks in the environment, or another launcher has made the process group already;
without either there is a single rank. Gradients are averaged here and not by DistributedDataParallel, which
wants one forward call per step, but AV-CAT has two (reference, then frames).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from avcat.errors import InputError
from avcat.nn.precision import Precision

T = TypeVar("T")
PATIENCE = timedelta(hours=1)  # of a rank that waits for another, which may write to a slow share


class Ranks(NamedTuple):
    """This process, and how many train together."""

    rank: int
    world: int

    @property
    def leads(self) -> bool:
        """Whether this is the process that logs and writes."""
        return self.rank == 0

    def share(self, clips: int) -> range:
        """Which clips of a batch are this process's. InputError if they cannot be shared evenly."""
        if clips % self.world:
            raise InputError(f"batch_clips: {clips} clips cannot be shared evenly by {self.world} workers")
        each = clips // self.world
        return range(self.rank * each, (self.rank + 1) * each)


def ranks() -> Ranks:
    """Of the default process group; one rank if there is none."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return Ranks(0, 1)


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Joins the process group that torchrun's environment names, until the block ends on all ranks; else a single rank.

    NCCL on GPUs, of which each rank takes the one of its local number, gloo on CPUs. An existing group is
    used, and kept.
    """
    if dist.is_available() and dist.is_initialized():
        yield ranks()
        dist.barrier()
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ranks()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield ranks()
        dist.barrier()  # the first rank writes after the last step, and the others wait for it
    finally:
        dist.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over all ranks: with equal shares, that of the whole batch's mean loss."""
    world = ranks().world
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def average(figures: dict[str, float]) -> dict[str, float]:
    """The means of figures that every rank has under the same names."""
    world = ranks().world
    if world == 1:
        return figures
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    values = torch.tensor(list(figures.values()), dtype=torch.float64, device=device)
    dist.all_reduce(values)
    return dict(zip(figures, (values / world).tolist(), strict=True))


def agreed(precision: Precision) -> Precision:
    """`precision` if it is the same on all ranks, else fp32."""
    world = ranks().world
    if world == 1:
        return precision
    said: list[Precision] = ["fp32"] * world
    dist.all_gather_object(said, precision)
    return said[0] if len(set(said)) == 1 else "fp32"


def shared(mine: dict[int, T]) -> dict[int, T]:
    """What all ranks have, by number; the numbers of two ranks differ."""
    world = ranks().world
    if world == 1:
        return mine
    everyone: list[dict[int, T]] = [{}] * world
    dist.all_gather_object(everyone, mine)
    return {number: value for of_rank in everyone for number, value in of_rank.items()}


def gather(rows: Tensor) -> Tensor:
    """`[n, ...]` of each rank -> `[world n, ...]` in the order of ranks. Gradients reach only this rank's own rows.

    A loss of the gathered rows is the same on every rank, and each has the derivative by its own rows. Averaged,
    their gradients are `world` times too small: multiply such a loss by `world`.
    """
    rank, world = ranks()
    if world == 1:
        return rows
    everyone = [torch.empty_like(rows) for _ in range(world)]
    dist.all_gather(everyone, rows.detach().contiguous())
    everyone[rank] = rows
    return torch.cat(everyone)
