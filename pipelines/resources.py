"""The resources of a worker."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2

from pipelines.settings import RuntimeConfig


@dataclass(frozen=True)
class Resources:
    """Of one worker. Ray places it where they are free."""

    num_cpus: float = 1.0
    num_gpus: float = 0.0

    def fit(self, there: Mapping[str, float]) -> int:
        """How many such workers a cluster has room for, at least one. `there`: as Ray counts, `CPU` and `GPU`."""
        rooms = [there.get("CPU", 1) / self.num_cpus]
        if self.num_gpus:
            rooms.append(there.get("GPU", 0) / self.num_gpus)
        return max(1, int(min(rooms)))


def use_one_thread() -> None:
    """Keeps the libraries of a worker from starting a thread per core: the other cores have workers of their own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["AVCAT_DECODER_THREADS"] = "1"  # for avcat.media.video
    cv2.setNumThreads(1)


def with_device(runtime: RuntimeConfig) -> RuntimeConfig:
    """The same with `auto` replaced by the device that is available: cuda or cpu."""
    import torch  # only here: most workers do not need it

    if runtime.device != "auto":
        return runtime
    return replace(runtime, device="cuda" if torch.cuda.is_available() else "cpu")
