"""The precision of products and convolutions: as configured, or the fastest of the device."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
WantedPrecision = Literal["auto", "fp32", "bf16", "fp16"]
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_NARROW = ("DEFAULT", "AVX2")  # vector units without bf16, as torch names them


def quickest(device: str) -> Precision:
    """bf16 if the device has instructions for it, else fp32.

    Without them bf16 is emulated, ten times as slow as fp32. A processor that ATEN_CPU_CAPABILITY limits to AVX2 counts
    as one without.
    """
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # since torch 2.12
    native = able.get("avx512_bf16") or able.get("amx_bf16")
    return "bf16" if native and torch.backends.cpu.get_cpu_capability() not in _NARROW else "fp32"


def resolved(wanted: WantedPrecision, device: str) -> Precision:
    """`wanted`, or for `auto` the fastest of the device."""
    return quickest(device) if wanted == "auto" else wanted


def autocast(wanted: WantedPrecision, device: str) -> AbstractContextManager[None]:
    """Products and convolutions in bf16 or fp16; with fp32 nothing changes."""
    half = _HALF.get(resolved(wanted, device))
    return torch.autocast(torch.device(device).type, half or torch.bfloat16, enabled=half is not None)
