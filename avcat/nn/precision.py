"""Half precision, where the settings ask for it."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def quickest(device: str) -> Precision:
    """bf16 where the device has instructions for it, else fp32."""
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # since torch 2.12
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"


def autocast(precision: Precision, device: str) -> AbstractContextManager[None]:
    """Products and convolutions in bf16 or fp16; with fp32 nothing changes."""
    half = _HALF.get(precision)
    return torch.autocast(torch.device(device).type, half or torch.bfloat16, enabled=half is not None)
