"""`avcat export`: converts a generator's model file to an ONNX file that is checked to give the same pictures."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from avcat.checkpoint import ModelFile, load_model
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.inference.onnx_network import (
    FEATURE,
    FORMAT,
    FRAMES,
    MELS,
    PREDICTION,
    REFERENCE,
    VERSION,
    load_onnx,
    need_onnx,
)
from avcat.media.mel import WINDOW_COLUMNS
from avcat.methods.generator import Generator, Reference
from avcat.settings import to_dict

if TYPE_CHECKING:
    import onnx

BOUND = 2e-3  # of a picture in -1..1: a quarter of a grey level
CHECKED_BATCHES = (1, 2, 5)
_TRACED_BATCH = 3  # a batch of one would be traced as a constant
_OPSET = 20


class Exported(NamedTuple):
    """Result of an export."""

    difference: float  # largest difference to torch, of pictures in -1..1
    features: int  # number of tensors computed from a reference, once per clip


class _Whole(nn.Module):
    """A generator and its reference branch in one call, with tensors only."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, reference: Tensor, mels: Tensor) -> tuple[Tensor, ...]:
        encoded = self.network.encode_reference(reference)
        features = pytree.tree_leaves(encoded.features)
        prediction = self.network(frames, Reference(reference, encoded.features), mels).prediction
        return (prediction, *(feature for feature in features if isinstance(feature, Tensor)))


def export(model: str | Path, out: str | Path, *, bound: float = BOUND) -> Exported:
    """Writes a model file of a generator as ONNX, after comparing both on random pictures and sounds.

    Raises InputError if the model cannot be used, is of a kind without a frame by frame form, or differs from torch by
    more than `bound`; then nothing is written.
    """
    need_onnx("avcat export")
    import onnx

    network, file = load_model(model, Generator)
    whole = _Whole(network).eval()
    program = _program(whole, network.image_size, file.inputs.mel.bands)
    with atomic_path(out) as part:
        with _quiet():
            program.save(part, external_data=False)
        proto = onnx.load(part)
        frames = next(value for value in proto.graph.input if value.name == FRAMES)
        if not frames.type.tensor_type.shape.dim[0].dim_param:
            raise InputError(f"{model}: its network fixes the batch when exported: `x.shape[0]` instead of `len(x)`")
        _describe(proto, file, {})
        onnx.save(proto, part)
        difference = _difference(network, part, file.inputs.mel.bands)
        if not difference <= bound:  # also refuses NaN
            raise InputError(
                f"{model}: in ONNX its pictures differ by {difference:.2e} (at most {bound:.0e} is allowed)"
            )
        _describe(proto, file, {"largest difference to torch": f"{difference:.1e}"})
        onnx.save(proto, part)
    return Exported(difference, sum(output.name.startswith(f"{FEATURE}_") for output in proto.graph.output))


def _program(whole: _Whole, size: int, bands: int) -> "torch.onnx.ONNXProgram":
    example = _random(_TRACED_BATCH, size, bands)
    with torch.inference_mode():
        features = len(whole(*example)) - 1
    batch = {0: torch.export.Dim("batch", min=1)}
    with _quiet(), sdpa_kernel(SDPBackend.MATH):  # as plain products: fused kernels' layouts break the exporter
        program = torch.onnx.export(
            whole,
            example,
            dynamo=True,
            opset_version=_OPSET,
            input_names=[FRAMES, REFERENCE, MELS],
            output_names=[PREDICTION, *(f"{FEATURE}_{i}" for i in range(features))],
            dynamic_shapes=(batch, None, batch),
            verbose=False,
        )
    assert program is not None
    return program


def _random(batch: int, size: int, bands: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and a reference in -1..1, mels in 0..1; the same on every call."""
    numbers = torch.Generator().manual_seed(batch)
    frames, reference = (torch.rand(n, 3, size, size, generator=numbers) * 2 - 1 for n in (batch, 1))
    return frames, reference, torch.rand(batch, bands, WINDOW_COLUMNS, generator=numbers)


@torch.inference_mode()
def _difference(network: Generator, path: Path, bands: int) -> float:
    """The largest difference of any pixel, over batches of several sizes, with the reference encoded once."""
    exported, worst = load_onnx(path)[0], 0.0
    for batch in CHECKED_BATCHES:
        frames, reference, mels = _random(batch, network.image_size, bands)
        pictures = [net(frames, net.encode_reference(reference), mels).prediction for net in (network, exported)]
        worst = max(worst, float((pictures[0] - pictures[1]).abs().nan_to_num(torch.inf).max()))
    return worst


def _describe(proto: "onnx.ModelProto", file: ModelFile, measured: dict[str, str]) -> None:
    import onnx.helper

    content = {
        "format": FORMAT,
        "version": str(VERSION),
        "kind": file.kind,
        "model": json.dumps(file.model),
        "inputs": json.dumps(to_dict(file.inputs)),
        "facts": json.dumps({**file.facts, **measured}, default=str),
    }
    onnx.helper.set_model_props(proto, content)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the exporter's warnings about its own code and its logs of optimisations, irrelevant for users."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
