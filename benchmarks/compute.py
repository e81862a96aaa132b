"""What the benchmarks of networks share: the machine's ceiling, operations counted, times taken.

Needs only torch, so that a GPU machine without Ray, DVC or MLflow can run them.
"""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

PRODUCT_SIDES = (1024, 2048, 4096)  # of square matrices; a GPU also tries the next
REPEATS = 3


def synchronise(device: str) -> None:
    """Waits until the device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def best_s(work: Callable[[], object], device: str, repeats: int = REPEATS) -> float:
    """Seconds of the fastest of some calls, after one that warms up."""
    work()
    synchronise(device)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return min(times)


def ceiling(device: str, dtype: torch.dtype) -> float:
    """Operations per second of the best square matrix product: an upper bound for any network."""
    best = 0.0
    for side in (*PRODUCT_SIDES, *((2 * PRODUCT_SIDES[-1],) if device == "cuda" else ())):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        best = max(best, 2 * side**3 / best_s(lambda a=a, b=b: a @ b, device))  # type: ignore[misc]
    return best


def operations(work: Callable[[], object]) -> int:
    """Floating point operations of the products, convolutions and attentions in `work`, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def describe(device: str) -> str:
    """The machine, for readers of the figures."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    return f"torch {torch.__version__}, {device}: {name}"
