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
from types import ModuleType
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


def module(name: str, part: str) -> ModuleType:
    """`avcat.methods.<name>.<part>`. Raises InputError if there is no such method, or it has no such part."""
    if part not in parts(name):
        raise InputError(f"{name}: has no {part}.py in its folder")
    return importlib.import_module(f"{__name__}.{name}.{part}")


def network_of(name: str) -> type[nn.Module]:
    """The class of a method's network."""
    return module(name, "model").NETWORK  # type: ignore[no-any-return]


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network of a model file. Raises InputError for an unknown method, or settings that cannot be built."""
    model = module(name, "model")
    return model.NETWORK(parse(model.SETTINGS, settings, "model"))  # type: ignore[no-any-return]
