"""Model files: weights, settings and format version in one file that loads with `weights_only=True`."""

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.methods import build, names, network_of
from avcat.settings import parse, to_dict

FORMAT = "avcat-model"
VERSION = 2
N = TypeVar("N", bound=nn.Module)
PARTS = ("kind", "model", "inputs", "facts", "weights")


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file besides its weights."""

    kind: str  # as in `avcat.methods`
    model: dict[str, Any]  # the settings that build it
    inputs: InputConfig  # required inputs
    facts: dict[str, Any]  # steps, data, metrics: for display


def save_model(
    path: str | Path, kind: str, network: nn.Module, model: Any, inputs: InputConfig, facts: dict[str, Any]
) -> None:
    """Writes a model file atomically. `model`: the settings of the network."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "model": to_dict(model),
        "inputs": to_dict(inputs),
        "facts": facts,
        "weights": {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
    }
    with atomic_path(path) as part, part.open("wb") as file:  # given a path, torch would write its name into the file
        torch.save(content, file)


def load_model(path: str | Path, wanted: type[N], device: str = "cpu") -> tuple[N, ModelFile]:
    """Builds and loads the network of a model file, in eval mode on `device`. `wanted`: its class, or one above it.

    Raises InputError if the file is missing, is no model file, has another version or holds another kind.
    """
    content = _read(Path(path))
    _check_kind(path, content["kind"], wanted)
    facts = _facts(path, content)
    try:
        network = build(content["kind"], content["model"])
    except InputError as error:
        raise InputError(f"{path}: of another version of this program ({error})") from None
    try:
        network.load_state_dict(content["weights"])
    except RuntimeError as error:
        raise InputError(f"{path}: weights do not fit their own settings ({str(error).splitlines()[0]})") from None
    if not all(torch.isfinite(weight).all() for weight in network.state_dict().values()):
        raise InputError(f"{path}: some of its weights are no numbers; the file is damaged, or its training went wrong")
    return cast(N, network.eval().to(device)), facts


def read_facts(path: str | Path, wanted: type[nn.Module] | None = None) -> ModelFile:
    """The facts of a model file, without building the network. Errors as `load_model`; any kind without `wanted`."""
    content = _read(Path(path))
    if wanted:
        _check_kind(path, content["kind"], wanted)
    return _facts(path, content)


def _check_kind(path: str | Path, found: str, wanted: type[nn.Module]) -> None:
    if found not in names() or not issubclass(network_of(found), wanted):
        kinds = [name for name in names() if issubclass(network_of(name), wanted)]
        raise InputError(f"{path}: holds a model of kind {found}, one of kind {' or '.join(kinds)} is needed")


def _facts(path: str | Path, content: dict[str, Any]) -> ModelFile:
    try:
        inputs = parse(InputConfig, content["inputs"], "inputs")
    except InputError as error:
        raise InputError(f"{path}: of another version of this program ({error})") from None
    return ModelFile(content["kind"], content["model"], inputs, content["facts"])


def read_archive(path: Path, what: str) -> Any:
    """Reads a file of `torch.save` on the CPU: only tensors, numbers, dicts and lists.

    Raises InputError, with `path` and its expected type `what`, if it is missing, damaged or something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):  # torch writes zips; on other bytes its reader fails in many ways
        raise InputError(f"{path}: not {what}")
    with zipfile.ZipFile(path) as archive:  # torch does not compare checksums
        try:
            damaged = archive.testzip()
        except (zipfile.BadZipFile, EOFError, OSError):
            damaged = "the archive"
        if damaged:
            raise InputError(f"{path}: damaged ({damaged} does not match its checksum)")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        raise InputError(f"{path}: not {what}") from error


def _read(path: Path) -> dict[str, Any]:
    content = read_archive(path, "a model file")
    if not isinstance(content, dict) or content.get("format") != FORMAT or "version" not in content:
        raise InputError(f"{path}: not a model file of this project")
    if content["version"] == 1 and not [name for name in PARTS if name not in content]:
        content = _of_version_2(content)
    if content["version"] != VERSION:
        raise InputError(f"{path}: has format version {content['version']}, this program reads version {VERSION}")
    if missing := [name for name in PARTS if name not in content]:
        raise InputError(f"{path}: has no {', '.join(missing)}")
    return content


def _of_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """A file of version 1 (until 0.1) as one of version 2: other names, and settings that are gone."""
    kind, model = content["kind"].replace("-", "_"), dict(content["model"])
    weights = {name.replace(".own_mma.", ".mma."): tensor for name, tensor in content["weights"].items()}
    if kind == "avcat" and (wav2lip := model.pop("wav2lip", None)):
        kind, model["width"] = "wav2lip_rn", wav2lip["width"]
        del model["backbone"]
    elif kind == "avcat" and model["backbone"]:
        model["backbone"] = {
            key: value for key, value in model["backbone"].items() if key != "mutual_shares_projection"
        }
    return {**content, "version": 2, "kind": kind, "model": model, "weights": weights}
