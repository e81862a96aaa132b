"""params.yaml, composed and parsed: reference, then the profile's differences, then the variant's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from avcat import config
from avcat.errors import InputError
from avcat.files import located

ROOT = Path(__file__).resolve().parents[1]
FILE = "params.yaml"
SECTIONS = (
    "corpus",
    "data",
    "mel",
    "align",
    "model",
    "syncnet",
    "evaluator",
    "offsets",
    "train",
    "baselines",
    "evaluate",
)
VARIANT_SECTIONS = ("model", "train")
SHARED_BY_MODELS = ("image_size", "audio")


@dataclass(frozen=True)
class Params:
    """All settings in force. Paths are relative to the project's root."""

    profile: str
    variant: str
    corpus: config.CorpusConfig
    data: config.DataConfig
    mel: config.MelConfig
    align: config.AlignConfig
    syncnet: config.SyncNetTraining
    evaluator: config.SyncNetTraining
    offsets: config.OffsetsConfig
    train: config.TrainConfig
    baselines: config.BaselinesConfig
    evaluate: config.EvaluateConfig
    runtime: config.RuntimeConfig

    @property
    def inputs(self) -> config.InputConfig:
        """The format of crops and sounds; stored in every model file."""
        return config.InputConfig(self.data.crop_size, self.align, self.mel)

    @property
    def out(self) -> Path:
        """What DVC keeps."""
        return located(self.runtime.storage) / "out" / self.profile

    @property
    def state(self) -> Path:
        """The state for resuming an interrupted stage; DVC does not track it."""
        return located(self.runtime.storage) / "state" / self.profile


def merge(base: Any, over: Any) -> Any:
    """`base` with the differences in `over`: mappings key by key, everything else (lists, null) replaced whole."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def load(profile: str | None = None, variant: str = "full", path: str | Path | None = None) -> Params:
    """The settings of a profile (default: the one `params.yaml` names) and a variant.

    Raises InputError that names the file and the key if something is unknown, missing or of the wrong type.
    """
    path = Path(path) if path else ROOT / FILE
    tree = _read(path)
    profile = profile or str(tree["profile"])
    over = _pick(tree, "profiles", profile, SECTIONS)
    ablation = _pick(tree, "variants", variant, VARIANT_SECTIONS)
    _check_keys(tree["reference"], SECTIONS, f"{FILE}: reference.")
    sections = merge(merge(tree["reference"], over), ablation)
    sections["evaluator"] = merge(sections["syncnet"], sections["evaluator"])
    model = sections.pop("model")
    if model.get("wav2lip") is not None:
        wider = sections["baselines"]["wav2lip_l"]["model"]
        model["wav2lip"] = {"image_size": model["image_size"], **wider, **model["wav2lip"]}
    sections["train"] = {"model": model, **sections["train"]}
    sections["baselines"] = {
        name: merge(_shared(sections["train"], name), section) for name, section in sections["baselines"].items()
    }
    params = config.parse(
        Params, {"profile": profile, "variant": variant, "runtime": tree["runtime"], **sections}, FILE
    )
    _check_sound(params)
    for name, source in params.data.corpora.items():
        params.data.corpora[name] = replace(source, root=source.root.replace("{out}", str(params.out)))
    return params


def _check_sound(params: Params) -> None:
    """Checks that the networks take the bands that are computed."""
    heard = {"model": params.train.model.audio, "syncnet.model": params.syncnet.model.audio}
    for where, audio in heard.items():
        if audio.bands != params.mel.bands:
            raise InputError(f"{FILE}: {where}.audio.bands: {audio.bands}, but mel.bands is {params.mel.bands}")


def check(path: str | Path | None = None) -> None:
    """Raises InputError for the first mistake of any profile and any row, also of those that are not in force."""
    tree = _read(Path(path) if path else ROOT / FILE)
    for profile in tree["profiles"]:
        for variant in tree["variants"]:
            try:
                load(profile, variant, path)
            except InputError as error:
                raise InputError(f"{error} (profile {profile}, variant {variant})") from error


def trained_methods() -> list[str]:
    """The names of all rows that can be trained, variants and baselines; every profile has the same."""
    tree = _read(ROOT / FILE)
    return [*tree["variants"], *tree["reference"]["baselines"]]


def rows_in_force() -> list[str]:
    """Those that `rows` asks for, variants and baselines."""
    rows = _read(ROOT / FILE)["rows"]
    return [*rows["variants"], *rows["baselines"]]


def _shared(train: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings that the baseline `name` shares with AV-CAT's training and need not repeat."""
    own = get_type_hints(config.BaselinesConfig).get(name)
    if own is None:
        return {}  # parsing will report it as unknown
    kinds = get_type_hints(own)
    model = {field: train["model"][field] for field in get_type_hints(kinds["model"]) if field in SHARED_BY_MODELS}
    shared = {field: train[field] for field in kinds if field in train and field not in ("model", "weights")}
    return {**shared, "model": model}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        tree = yaml.safe_load(text)
        _refuse_doubled_keys(yaml.compose(text, Loader=yaml.SafeLoader))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    _check_keys(tree, ("profile", "rows", "reference", "profiles", "variants", "runtime"), f"{FILE}: ")
    _check_rows(tree)
    return tree  # type: ignore[no-any-return]


def _refuse_doubled_keys(node: yaml.Node | None) -> None:
    """YAML silently takes the second of two equal keys. Merge keys (`<<`) are not keys yet here."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise InputError(f"{FILE}: line {key.start_mark.line + 1}: {key.value}: duplicate key")
            seen.add(key.value)
            _refuse_doubled_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubled_keys(value)


def _check_rows(tree: dict[str, Any]) -> None:
    """Checks that `rows` names methods with settings."""
    settings = {"variants": tree["variants"], "baselines": tree["reference"].get("baselines", {})}
    _check_keys_are(tree["rows"], tuple(settings), f"{FILE}: rows.")
    for kind, names in tree["rows"].items():
        if not isinstance(names, list):
            raise InputError(f"{FILE}: rows.{kind}: expected a list of names, got {names!r}")
        for name in names:
            if name not in settings[kind]:
                raise InputError(
                    f"{FILE}: rows.{kind}: no settings for {name!r}, there are {', '.join(settings[kind])}"
                )


def _pick(tree: dict[str, Any], kind: str, name: str, sections: tuple[str, ...]) -> dict[str, Any]:
    if name not in tree[kind]:
        raise InputError(f"{FILE}: no {name!r} in {kind}, there are {', '.join(tree[kind])}")
    _check_keys(tree[kind][name], sections, f"{FILE}: {kind}.{name}.")
    return tree[kind][name]  # type: ignore[no-any-return]


def _check_keys(section: Any, names: tuple[str, ...], before_keys: str) -> None:
    """Checks that the section has these keys, and sections below them."""
    _check_keys_are(section, names, before_keys)
    for name in names:
        if name != "profile" and not isinstance(section[name], Mapping):
            raise InputError(f"{before_keys}{name}: expected a section with keys, got {section[name]!r}")


def _check_keys_are(section: Any, names: tuple[str, ...], before_keys: str) -> None:
    if not isinstance(section, Mapping):
        raise InputError(f"{before_keys.rstrip('.: ')}: expected a section with keys, got {section!r}")
    for key in section:
        if key not in names:
            raise InputError(f"{before_keys}{key}: unknown key, there are {', '.join(names)}")
    for name in names:
        if name not in section:
            raise InputError(f"{before_keys}{name}: missing key, write {{}} if nothing differs")
