"""The settings in force: params.yaml's reference, then the profile's differences, then the row's.

Each section is parsed when it is first asked for, so that a stage imports no networks that it does not need; `check`
parses all.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import yaml

from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.face.align import AlignConfig
from avcat.files import located
from avcat.media.mel import MelConfig
from avcat.metrics.results import BASE, BOUNDS
from avcat.settings import parse, to_dict
from avcat.synth.corpus import WILD, WORDS, CorpusConfig, SpeakersConfig
from pipelines.settings import DataConfig, RuntimeConfig

if TYPE_CHECKING:
    from avcat.methods.avcat.task import TrainConfig
    from avcat.methods.syncnet.task import SyncNetTraining
    from avcat.metrics.pair import EvaluateConfig
    from avcat.training.task import Training
    from pipelines.offsets import OffsetsConfig

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
FILE, PROFILES = "params.yaml", "profiles"
SECTIONS = ("corpus", "data", "mel", "align", "syncnet", "evaluator", "offsets", "training", "methods", "evaluate")
LISTS = ("profile", "selected")  # keys of params.yaml that are no sections
RESERVED = (*BOUNDS, "syncnet", "evaluator")  # rows without settings, and trainings that are no rows


@dataclass(frozen=True)
class Row:
    """A row of the tables: a trained method."""

    method: str  # a folder of avcat/methods
    training: "Training"


@dataclass(frozen=True)
class Params:
    """All settings of a profile. Paths are relative to the project's root."""

    profile: str
    selected: list[str]  # the rows that are trained and compared
    sections: Mapping[str, Any]  # merged, but not parsed; `rows`, too
    machine: Mapping[str, Any]  # `runtime`, not parsed

    @property
    def _source(self) -> str:
        return f"{FILE} with {PROFILES}/{self.profile}.yaml"

    @cached_property
    def corpus(self) -> CorpusConfig:
        """Only people of corpora that `data.corpora` names are rendered."""
        corpus, none = self._parse(CorpusConfig, "corpus"), SpeakersConfig(0, 0, 0, 0)
        words = corpus.words if WORDS in self.data.corpora else none
        return replace(corpus, words=words, wild=corpus.wild if WILD in self.data.corpora else none)

    @cached_property
    def data(self) -> DataConfig:
        section = self.sections["data"]
        taken = {name: source for name, source in section["corpora"].items() if source is not None}
        data = parse(DataConfig, {**section, "corpora": taken}, self._source, "data")
        for name, source in data.corpora.items():
            data.corpora[name] = replace(source, root=source.root.replace("{out}", str(self.out)))
        return data

    @cached_property
    def mel(self) -> MelConfig:
        return self._parse(MelConfig, "mel")

    @cached_property
    def align(self) -> AlignConfig:
        return self._parse(AlignConfig, "align")

    @cached_property
    def syncnet(self) -> "SyncNetTraining":
        """Of the SyncNet in the losses."""
        return self._syncnet("syncnet", self.sections["syncnet"])

    @cached_property
    def evaluator(self) -> "SyncNetTraining":
        """Of the SyncNet that only measures: it differs from the other one only in what its section says."""
        return self._syncnet("evaluator", merge(self.sections["syncnet"], self.sections["evaluator"]))

    @cached_property
    def offsets(self) -> "OffsetsConfig":
        from pipelines.offsets import OffsetsConfig

        return self._parse(OffsetsConfig, "offsets")

    @cached_property
    def evaluate(self) -> "EvaluateConfig":
        from avcat.metrics.pair import EvaluateConfig

        return self._parse(EvaluateConfig, "evaluate")

    @cached_property
    def runtime(self) -> RuntimeConfig:
        return parse(RuntimeConfig, self.machine, FILE, "runtime")

    @property
    def rows(self) -> list[str]:
        """The names of all rows that can be trained."""
        return list(self.sections["rows"])

    def row(self, name: str) -> Row:
        """A row's method and settings. Raises InputError if there is no such row, or they are invalid."""
        from avcat.methods import find

        if name not in self.rows:
            raise InputError(f"unknown row {name!r}, there are {', '.join(self.rows)}")
        entry, methods, where = self.sections["rows"][name], self.sections["methods"], f"{self._source}: rows.{name}"
        _check_keys(entry, ("method",), where, optional=("settings",))
        method = entry["method"]
        try:
            kind = find(method, "task", "SETTINGS")
        except InputError as error:
            raise InputError(f"{where}.method: {error}") from None
        own = dict(methods.get(method, {}))
        values = _fitting(self.sections["training"], kind)
        if like := own.pop("like", None):
            if like not in methods:
                raise InputError(f"{self._source}: methods.{method}.like: no method {like!r} in `methods`")
            values = merge(values, _fitting(methods[like], kind))
        training = parse(kind, merge(merge(values, own), entry.get("settings", {})), self._source, f"rows.{name}")
        self._check_sound(getattr(training.model, "audio", None), f"rows.{name}")
        return Row(method, training)

    @property
    def train(self) -> "TrainConfig":
        """Of AV-CAT itself."""
        return self.row(BASE).training  # type: ignore[return-value]

    @property
    def inputs(self) -> InputConfig:
        """The format of crops and sounds; stored in every model file."""
        return InputConfig(self.data.crop_size, self.align, self.mel)

    @property
    def out(self) -> Path:
        """What DVC keeps."""
        return located(self.runtime.storage) / "out" / self.profile

    @property
    def state(self) -> Path:
        """The state for resuming an interrupted stage; DVC does not track it."""
        return located(self.runtime.storage) / "state" / self.profile

    def in_force(self) -> dict[str, Any]:
        """Everything as plain mappings, by stage, or `rows/<name>`. Raises InputError for the first mistake."""
        plain = {name: to_dict(getattr(self, name)) for name in SECTIONS if name not in ("training", "methods")}
        if unknown := sorted(set(self.sections["methods"]) - {self.row(name).method for name in self.rows}):
            raise InputError(f"{self._source}: methods.{unknown[0]}: no row has this method")
        rows = {name: self.row(name) for name in self.rows}
        known = {key for row in rows.values() for key in get_type_hints(type(row.training))}
        if unknown := [key for key in self.sections["training"] if key not in known]:
            raise InputError(f"{self._source}: training.{unknown[0]}: no method has this setting")
        return plain | {f"rows/{name}": {"method": row.method, **to_dict(row.training)} for name, row in rows.items()}

    def _parse(self, kind: type[T], section: str) -> T:
        return parse(kind, self.sections[section], self._source, section)

    def _syncnet(self, section: str, values: Mapping[str, Any]) -> "SyncNetTraining":
        from avcat.methods.syncnet.task import SyncNetTraining

        training = parse(SyncNetTraining, values, self._source, section)
        self._check_sound(training.model.audio, section)
        return training

    def _check_sound(self, audio: Any, where: str) -> None:
        """Checks that a network takes the bands that are computed."""
        if audio is not None and audio.bands != self.mel.bands:
            raise InputError(
                f"{self._source}: {where}.model.audio.bands: {audio.bands}, but mel.bands is {self.mel.bands}"
            )


def load(profile: str | None = None, path: str | Path | None = None) -> Params:
    """The settings of a profile (default: the one that `params.yaml`, or the file at `path`, names).

    Raises InputError that names the file and the key if a section is unknown, missing or of the wrong type. What is in
    it is checked when it is first used.
    """
    path = Path(path) if path else ROOT / FILE
    tree = _read(path)
    _check_keys(tree, (*LISTS, "reference", "rows", "runtime"), FILE)
    _check_keys(tree["reference"], SECTIONS, f"{FILE}: reference")
    profile = profile or str(tree["profile"])
    sections = merge({**tree["reference"], "rows": tree["rows"]}, _profile(path.parent / PROFILES, profile))
    if taken := sorted(set(RESERVED) & set(sections["rows"])):
        raise InputError(f"{FILE}: rows: {taken[0]}: the name is reserved")
    if BASE not in sections["rows"]:
        raise InputError(f"{FILE}: rows: {BASE}: missing key; the other rows are compared with it")
    selected = tree["selected"]
    if not isinstance(selected, list):
        raise InputError(f"{FILE}: selected: expected a list of names, got {selected!r}")
    for name in selected:
        if name not in sections["rows"]:
            raise InputError(f"{FILE}: selected: unknown row {name!r}, there are {', '.join(sections['rows'])}")
    return Params(profile, selected, sections, tree["runtime"])


def check(path: str | Path | None = None) -> None:
    """Raises InputError for the first mistake of any profile and any row, also of those that are not in force."""
    for profile in profiles(path):
        load(profile, path).in_force()


def profiles(path: str | Path | None = None) -> list[str]:
    """The names of all profiles. A file that begins with `_` is only for others to extend."""
    folder = (Path(path) if path else ROOT / FILE).parent / PROFILES
    return sorted(file.stem for file in folder.glob("[!_]*.yaml"))


def merge(base: Any, over: Any) -> Any:
    """`base` with the differences in `over`: mappings key by key, everything else (lists, null) replaced whole."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def _profile(folder: Path, name: str, extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """A profile's differences from the reference, those that it extends included."""
    if name in extended_by:
        raise InputError(f"{PROFILES}/{name}.yaml: extends itself ({' -> '.join((*extended_by, name))})")
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"no profile {name!r}, there are {', '.join(profiles(folder.parent / FILE))}")
    where, own = f"{PROFILES}/{path.name}", _read(path)
    _check_keys(own, (), where, optional=("extends", "rows", *SECTIONS))
    own = dict(own)
    base = own.pop("extends", None)
    return merge(_profile(folder, base, (*extended_by, name)), own) if base else own  # type: ignore[no-any-return]


def _fitting(values: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Those of the values that a class of settings has a field for; of a network's, too."""
    hints = get_type_hints(kind)
    found = {key: value for key, value in values.items() if key in hints}
    if "model" in found and dataclasses.is_dataclass(hints["model"]):
        found["model"] = _fitting(found["model"], hints["model"])  # type: ignore[arg-type]
    return found


class _Loader(yaml.SafeLoader):
    """YAML silently takes the second of two equal keys; this refuses it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value}: duplicate key")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(), _Loader)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error


def _check_keys(section: Any, names: tuple[str, ...], where: str, *, optional: tuple[str, ...] = ()) -> None:
    """Checks that a section has these keys and no others, and that what is below them are sections, if they are."""
    if not isinstance(section, Mapping):
        raise InputError(f"{where}: expected a section with keys, got {section!r}")
    for key, value in section.items():
        if key not in (*names, *optional):
            raise InputError(f"{where}: {key}: unknown key, there are {', '.join((*names, *optional))}")
        if key not in (*LISTS, "extends", "method") and not isinstance(value, Mapping):
            raise InputError(f"{where}: {key}: expected a section with keys, got {value!r}")
    for name in names:
        if name not in section:
            raise InputError(f"{where}: {name}: missing key")
