"""How settings are declared and read. Each class of settings is in the module that it sets.

Reading is strict: an unknown or a missing key is an error that names it, and nothing is converted except whole numbers
to fractions. Values are in `params.yaml` and `profiles/`, so each number is written once; a class has a default only
for a loss or a table that is not used, and for what older model files lack. Units are part of the names.
"""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from avcat.errors import InputError

T = TypeVar("T")
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Natural = Annotated[int, Field(ge=0, le=1_000_000_000)]
Seconds = Annotated[float, Field(ge=1e-3, le=1e9)]
Side = Annotated[int, Field(ge=16, le=4096)]  # of a square picture, px

_UNKNOWN = "unexpected_keyword_argument"
_PLAINLY = {"dataclass_type": "a section with keys", "dict_type": "a section with keys"}


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass that `parse` can read."""
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    cls.__pydantic_config__ = config  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True)(cls)


def parse(cls: type[T], values: Mapping[str, Any], source: str = "params", section: str = "") -> T:
    """Builds a class of settings from a mapping, strictly. `source`: its file, and `section` its keys, for messages.

    Raises InputError for an unknown key (with the nearest known one), a missing key or an invalid value.
    """
    try:
        # In JSON a tuple is a list, as in YAML.
        return _adapter(cls).validate_json(json.dumps(values))  # type: ignore[arg-type, no-any-return]
    except ValidationError as error:
        # A misspelt key is also a missing one: the former says more.
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != _UNKNOWN)
    except TypeError as error:  # a date, for instance
        raise InputError(f"{source}: {section}: {error}") from None
    place = [str(part) for part in first["loc"]]
    if first["type"] == _UNKNOWN:
        near = difflib.get_close_matches(place[-1], _names(cls, place[:-1]), n=1)
        problem = "unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    elif first["type"] == "missing":
        problem = "missing key"
    else:
        expected = _PLAINLY.get(first["type"]) or first["msg"].removeprefix("Input should be ")
        problem = f"expected {expected}, got {first['input']!r}"
    keys = ".".join([*([section] if section else []), *place])
    raise InputError(": ".join([source, *([keys] if keys else []), problem]))


def to_dict(config: Any) -> dict[str, Any]:
    """The plain mapping that `parse` turns back into the same settings (tuples become lists)."""
    return json.loads(json.dumps(dataclasses.asdict(config)))  # type: ignore[no-any-return]


@lru_cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _names(cls: Any, place: list[str]) -> list[str]:
    """The keys of the section at a place below `cls`."""
    for part in place:
        hint = get_args(cls)[1] if get_origin(cls) is dict else get_type_hints(cls)[part]
        cls = get_args(hint)[0] if type(None) in get_args(hint) else hint
    return [field.name for field in dataclasses.fields(cls)]
