"""The methods: a folder each, whose name is the method's in params.yaml, in model files and in the code.

- `__init__.py`: its page: source, what it learns by, what it sees of a test clip;
- `model.py`: the network, with `SETTINGS`, the class of its settings, and `NETWORK`, which is built from them;
- `task.py`: its training, with `SETTINGS` and `TASK`, an `avcat.training.loop.Task` (if it is trained here);
- `run.py`: only if the network does not redraw frame by frame: `RUN`, which draws a clip (see `avcat.metrics.drawers`).

A new folder is a new method; a row of params.yaml trains it (docs/extending.md). Modules are imported when they are
needed, so that a pipeline stage depends on the code of its own method only.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from avcat.errors import InputError
from avcat.settings import parse


def names() -> list[str]:
    """All methods, sorted."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/model.py"))


def parts(name: str) -> list[str]:
    """The modules in a method's folder, sorted. Raises InputError if there is no such method."""
    if name not in names():
        raise InputError(f"unknown method {name!r}, there are {', '.join(names())}")
    return sorted(path.stem for path in (Path(__file__).parent / name).glob("[!_]*.py"))


def find(name: str, part: str, what: str) -> Any:
    """`what` of `avcat.methods.<name>.<part>`. Raises InputError if there is no such method, part or name in it."""
    if part not in parts(name):
        raise InputError(f"{name}: has no {part}.py in its folder")
    module = importlib.import_module(f"{__name__}.{name}.{part}")
    if not hasattr(module, what):
        raise InputError(f"{name}: its {part}.py does not set {what}")
    return getattr(module, what)


def network_of(name: str) -> type[nn.Module]:
    """The class of a method's network."""
    return find(name, "model", "NETWORK")  # type: ignore[no-any-return]


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network of a model file. Raises InputError for an unknown method, or settings that cannot be built."""
    return network_of(name)(parse(find(name, "model", "SETTINGS"), settings, "model"))
