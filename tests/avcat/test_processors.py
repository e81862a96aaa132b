"""What is learnt does not depend on the processor: with and without its wider instructions."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from avcat.nn.precision import autocast, quickest, resolved

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def steps(environment: dict[str, str]) -> Any:
    script = Path(__file__).with_name("steps_of_all.py")
    variables = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, script], env=variables, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_steps_of_all_networks_are_the_same_without_wide_instructions() -> None:
    here, narrow = steps({}), steps(AVX2)
    assert narrow["capability"] in ("AVX2", "DEFAULT")
    for kind, losses in here["losses"].items():
        assert narrow["losses"][kind] == pytest.approx(losses, rel=1e-4), kind


def test_a_processor_without_bf16_is_quickest_in_fp32() -> None:
    code = "from avcat.nn.precision import quickest; print(quickest('cpu'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **AVX2}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "fp32"


@pytest.mark.parametrize(
    ("abilities", "capability", "expected"),
    [
        ({"avx512_bf16": True}, "AVX512", "bf16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "AVX512", "bf16"),
        ({"avx512_bf16": True}, "AVX2", "fp32"),  # limited by ATEN_CPU_CAPABILITY
        ({"avx512_bf16": False, "amx_bf16": False}, "AVX512", "fp32"),
        ({}, "DEFAULT", "fp32"),
    ],
)
def test_quickest(abilities: dict[str, bool], capability: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert quickest("cpu") == resolved("auto", "cpu") == expected
    assert resolved("bf16", "cpu") == "bf16", "what is asked for is done"
    with autocast("auto", "cpu"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if expected == "bf16" else torch.float32)
