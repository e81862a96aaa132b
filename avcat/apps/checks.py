"""Checks of the commands before long work starts."""

import os
import re
import tempfile
import zipfile
from pathlib import Path

from avcat.errors import InputError
from avcat.inference import ONNX_SUFFIX

MODEL_VARIABLE = "AVCAT_MODEL"
_URL = re.compile(r"[a-z][a-z0-9+]+:/")  # as pathlib writes it, which removes one slash


def model_path(given: Path | None, *, onnx: bool = False) -> Path:
    """The given model file, or the one named in the environment; `onnx`: a file of `avcat export` is allowed.

    Raises InputError if there is none, or it cannot be a model file.
    """
    path = given or (Path(os.environ[MODEL_VARIABLE]) if os.environ.get(MODEL_VARIABLE) else None)
    if path is None:
        raise InputError(
            f"no model: give --model or set {MODEL_VARIABLE} (`make demo` trains one: out/demo/train/full/model.pt)"
        )
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None
    if path.suffix == ONNX_SUFFIX:
        if not onnx:
            raise InputError(f"{path}: an ONNX model can only dub; give the model.pt it was made from")
    elif not zipfile.is_zipfile(path):  # the format of torch.save
        raise InputError(f"{path}: not a model file")
    return path


def check_output(path: Path, inputs: tuple[Path, ...], what: str, *suffixes: str) -> None:
    """Checks, without leaving a trace, that `path` can be written. Raises InputError if it cannot."""
    if _URL.match(str(path)):
        raise InputError(f"{path}: a URL; the output must be a file on this machine")
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: the output is {what}, so its name must end in {' or '.join(suffixes)}")
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder")
        if any(path.exists() and path.samefile(other) for other in inputs):
            raise InputError(f"{path}: is one of the inputs")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def check_device(name: str) -> None:
    """Raises InputError if torch cannot compute on the device."""
    import torch

    try:
        torch.zeros(1, device=name).item()  # `meta` makes tensors that cannot be read
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"--device {name}: not usable here ({str(error).splitlines()[0]})") from None
