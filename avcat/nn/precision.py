"""Half precision, where the settings ask for it."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: str) -> AbstractContextManager[None]:
    """Products and convolutions in bf16 or fp16; with fp32 nothing changes."""
    half = _HALF.get(precision)
    return torch.autocast(torch.device(device).type, half or torch.bfloat16, enabled=half is not None)
