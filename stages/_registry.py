"""MLflow's model registry: every model that was trained, by name and version, with its metadata.

A version holds the model file itself, a card, the settings as JSON, a signature and the code that MLflow needs to load
and serve it; `stages.export` takes the file out.
"""

import json
import shutil
import tempfile
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from avcat.checkpoint import ModelFile, load_model, read_facts
from avcat.data.schema import WINDOW_FRAMES
from avcat.errors import InputError
from avcat.files import atomic_path, sha256_of
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.methods import network_of
from avcat.methods.generator import Generator
from avcat.methods.syncnet.model import SyncNet
from avcat.settings import to_dict
from stages._mlflow import git_revision, mlflow
from stages._params import ROOT, Params

SERVED = Path(__file__).with_name("_served.py")


def register(model: Path, name: str, params: Params, settings: Any) -> None:
    """Makes a model file the newest version of `avcat-<profile>-<name>`. To be called inside of a run of `tracked`.

    `settings` is the dataclass that it was trained with.
    """
    file = read_facts(model)
    said = card(file, name, params)
    config = {"profile": params.profile, "training": to_dict(settings), "inputs": to_dict(file.inputs)}
    title = f"avcat-{params.profile}-{name}"
    with tempfile.TemporaryDirectory(prefix="avcat-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, of its own type hints, at its first import too
        parts = {"model": model, "card": Path(folder, "card.md"), "config": Path(folder, "config.json")}
        parts["card"].write_text(said)
        parts["config"].write_text(json.dumps(config, indent=1) + "\n")
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(SERVED),
            artifacts={key: str(path) for key, path in parts.items()},
            signature=mlflow.models.ModelSignature(*map(_schema, signature_of(file))),
            code_paths=[str(ROOT / "avcat")],
            pip_requirements=tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"],
            registered_model_name=title,
        )
    client, number = mlflow.MlflowClient(), logged.registered_model_version
    client.update_model_version(title, number, description=said)
    facts = {"kind": file.kind, "profile": params.profile, "sha256": sha256_of(model), "steps": file.facts.get("steps")}
    for key, value in facts.items():
        client.set_model_version_tag(title, number, key, str(value))
    print(f"registered as {title}, version {number}")


def signature_of(file: ModelFile) -> tuple[dict[str, Any], dict[str, Any]]:
    """Names, types and shapes of what goes in and what comes out; -1 is any length.

    Crops are RGB uint8 of side `inputs.crop_size`, mels float32 in 0..1: one window per frame, or a clip's columns.
    """
    size, bands = file.inputs.crop_size, file.inputs.mel.bands
    window = (-1, bands, WINDOW_FRAMES * COLUMNS_PER_FRAME)
    crops, mels = (np.uint8, (-1, size, size, 3)), (np.float32, window)
    reference = (np.uint8, (1, size, size, 3))
    network = network_of(file.kind)
    if issubclass(network, SyncNet):
        return {"crops": crops, "mel": (np.float32, (bands, -1))}, {"cosines": (np.float32, (-1,))}
    if issubclass(network, Generator):
        return {"crops": crops, "mels": mels, "reference": reference}, {"crops": crops}
    return {"reference": reference, "mels": mels}, {"crops": crops}


def card(file: ModelFile, name: str, params: Params) -> str:
    """A model card in Markdown."""
    figures = "\n".join(f"| {key} | {_short(value)} |" for key, value in file.facts.items())
    corpora = ", ".join(params.data.corpora)
    return f"""# {name}, profile {params.profile}

{_use(file.kind)}

- Kind: `{file.kind}`, for crops of {file.inputs.crop_size} px and sound of {file.inputs.mel.sample_rate} Hz.
- Trained on the training speakers of {corpora}, by revision `{git_revision()}`.
- It knows people like those of its corpora; others may be drawn, or judged, poorly.
- Dub people only with their consent, and say that a clip is synthetic when you show it.

| figure | value |
|---|---|
{figures}
"""


def _use(kind: str) -> str:
    if issubclass(network_of(kind), Generator):
        return "Redraws the mouth in aligned crops of a face so that it matches a sound; `avcat dub` takes its file."
    if issubclass(network_of(kind), SyncNet):
        return "Scores how well a sound matches a mouth. It draws nothing."
    return "Moves the face of a portrait to match a sound."


def export(name: str, number: str | None, out: Path) -> ModelFile:
    """Writes the model file of a registered version (the newest if `number` is None) to `out`, atomically.

    Raises InputError if the registry has no such name or version, or what it holds is not what was registered.
    """
    found = _version(name, number)
    with tempfile.TemporaryDirectory(prefix="avcat-") as folder:
        try:
            here = mlflow.artifacts.download_artifacts(f"models:/{name}/{found.version}", dst_path=folder)
        except (OSError, mlflow.MlflowException) as error:
            raise InputError(f"{name} {found.version}: cannot be fetched ({_line(error)})") from None
        files = list(Path(here, "artifacts").glob("*.pt"))
        if len(files) != 1:
            raise InputError(f"{name} {found.version}: holds no model file of this project")
        if sha256_of(files[0]) != found.tags.get("sha256"):
            raise InputError(f"{name} {found.version}: its file is not the one that was registered")
        _, file = load_model(files[0], nn.Module)
        with atomic_path(out) as part:
            shutil.copyfile(files[0], part)
    return file


def _version(name: str, number: str | None) -> Any:
    """MLflow's entry of a version."""
    client = mlflow.MlflowClient()
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'")} if "'" not in name else {}
    if not versions:
        names = sorted(model.name for model in client.search_registered_models())
        raise InputError(f"no model {name!r} in the registry, there are {', '.join(names) or 'none'}")
    number = number or max(versions, key=int)
    if number not in versions:
        known = ", ".join(sorted(versions, key=int))
        raise InputError(f"{name}: no version {number!r}, there are {known}")
    return versions[number]


def _schema(parts: Mapping[str, Any]) -> Any:
    from mlflow.types import Schema, TensorSpec

    return Schema([TensorSpec(np.dtype(kind), shape, name) for name, (kind, shape) in parts.items()])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
