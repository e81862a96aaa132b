"""A generator as an ONNX file, run by ONNX Runtime on the processor, with the interface of any `Generator`.

The file is one ordinary graph, `frames`, `reference` and `mels` in, `prediction` out, for any runtime; the batch size
is dynamic, the reference is one picture. Tensors that depend only on the reference are further outputs. For dubbing
the graph is split there, so that the reference branch runs once per clip, as in torch.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avcat.checkpoint import ModelFile
from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.methods import network_of
from avcat.methods.generator import Generator, Redrawn, Reference
from avcat.settings import parse

if TYPE_CHECKING:
    import onnx
    import onnxruntime

FORMAT, VERSION = "avcat-onnx", 1
FRAMES, REFERENCE, MELS, PREDICTION = "frames", "reference", "mels", "prediction"
FEATURE = "feature"  # feature_0, feature_1 ...: tensors that depend only on the reference
_QUIET = 3  # ONNX Runtime's level "error"


class OnnxNetwork(Generator):
    """Built by `load_onnx`; has the same input and output tensors as the torch network of the same kind."""

    def __init__(self, kind: str, image_size: int, model: "onnx.ModelProto") -> None:
        """`kind`: the method; `model`: a checked graph in the format of this module."""
        import onnx.utils

        self._region = _class_of(kind).redrawn_region
        super().__init__(image_size)
        outputs = [output.name for output in model.graph.output]
        self._features = [name for name in outputs if name.startswith(f"{FEATURE}_")]
        cutter = onnx.utils.Extractor(model)
        inputs = [value.name for value in model.graph.input if value.name in (FRAMES, REFERENCE, MELS)]
        self._redraws = _session(cutter.extract_model([*inputs, *self._features], [PREDICTION]))
        self._encodes = _session(cutter.extract_model([REFERENCE], self._features)) if self._features else None
        self._wanted = {value.name for value in self._redraws.get_inputs()}

    def redrawn_region(self, size: int) -> np.ndarray:  # type: ignore[override]  # of its kind, known by now only
        return self._region(size)

    def encode_reference(self, reference: Tensor) -> Reference:
        """`[1, 3, S, S]` in -1..1. Raises InputError for several: the graph serves one reference at a time."""
        if len(reference) != 1:
            raise InputError("an ONNX model takes one reference per clip, not `same`")
        features = self._encodes.run(self._features, {REFERENCE: _array(reference)}) if self._encodes else []
        return Reference(reference, dict(zip(self._features, features, strict=True)))

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """As `Generator.forward`, with one reference."""
        given = {FRAMES: _array(frames), MELS: _array(mels), REFERENCE: _array(reference.image), **reference.features}
        (prediction,) = self._redraws.run([PREDICTION], {name: given[name] for name in self._wanted})
        return Redrawn(torch.from_numpy(prediction), None)


def load_onnx(path: str | Path) -> tuple[OnnxNetwork, ModelFile]:
    """The network of a file written by `avcat export`, and the model file's facts with what the export measured.

    Raises InputError if the file cannot be used, or the extra `onnx` is not installed.
    """
    facts, model = _read(Path(path))
    try:
        return OnnxNetwork(facts.kind, facts.model["image_size"], model), facts
    except Exception as error:  # ONNX Runtime has a dozen exception classes without a common base
        raise InputError(f"{path}: cannot be run ({str(error).splitlines()[0]})") from error


def read_onnx_facts(path: str | Path) -> ModelFile:
    """The metadata of an exported file. Errors as `load_onnx`."""
    return _read(Path(path))[0]


def need_onnx(what: str) -> None:
    """Raises InputError if the extra `onnx` is not installed. `what` needs it."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"{what} needs packages that are not installed ({error}): pip install 'avcat[onnx]'") from None


def _read(path: Path) -> "tuple[ModelFile, onnx.ModelProto]":
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    need_onnx(f"{path}: an ONNX model")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)  # no external data: it may name any path
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        raise InputError(f"{path}: not an ONNX model, or a damaged one") from error
    content = {entry.key: entry.value for entry in model.metadata_props}
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: not made by `avcat export`")
    if content["version"] != str(VERSION):
        raise InputError(f"{path}: has format version {content['version']}, this program reads version {VERSION}")
    try:
        kind, settings, facts = content["kind"], json.loads(content["model"]), json.loads(content["facts"])
        inputs = parse(InputConfig, json.loads(content["inputs"]), "inputs")
        _class_of(kind)
    except (KeyError, ValueError) as error:  # InputError is one
        raise InputError(f"{path}: of another version of this program ({error})") from None
    return ModelFile(kind, settings, inputs, facts), model


def _class_of(kind: str) -> type[Generator]:
    network = network_of(kind)
    if not issubclass(network, Generator):
        raise InputError(f"{kind} does not redraw frame by frame")
    return network


def _session(model: "onnx.ModelProto") -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)
