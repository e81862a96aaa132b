"""The settings in force: reference, then profile, then row; and no unknown keys."""

import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from avcat.errors import InputError
from avcat.files import located
from avcat.synth.corpus import plan
from stages._params import FILE, PROFILES, ROOT, check, load, merge, profiles
from stages.reproduce import check_corpora

ROWS = load("test").rows


def changed(folder: Path, file: str, *keys: str, value: Any) -> Path:
    """The project's own settings with one value of a file set at a path of keys; returns the path of params.yaml."""
    shutil.copy(ROOT / FILE, folder)
    shutil.copytree(ROOT / PROFILES, folder / PROFILES, dirs_exist_ok=True)
    tree = yaml.safe_load((folder / file).read_text())
    section = tree
    for key in keys[:-1]:
        section = section.setdefault(key, {})
    section[keys[-1]] = value
    (folder / file).write_text(yaml.safe_dump(tree, sort_keys=False))
    return folder / FILE


def test_merge_goes_key_by_key_and_replaces_lists() -> None:
    base = {"a": {"b": 1, "c": [1, 2, 3]}, "d": 4, "e": {"f": 5}}
    over = {"a": {"c": [9]}, "e": None, "g": {"h": 6}}
    assert merge(base, over) == {"a": {"b": 1, "c": [9]}, "d": 4, "e": None, "g": {"h": 6}}
    assert base == {"a": {"b": 1, "c": [1, 2, 3]}, "d": 4, "e": {"f": 5}}


@pytest.mark.parametrize("profile", profiles())
def test_every_profile_parses(profile: str) -> None:
    params = load(profile)
    assert {f"rows/{row}" for row in ROWS} < params.in_force().keys()
    assert params.out == Path("out", profile)
    assert all(not source.root.startswith("{out}") for source in params.data.corpora.values())


def test_the_profiles() -> None:
    assert {"demo", "gpu", "paper", "real", "tables", "test", "tiny"} <= set(profiles())
    assert load("demo").data.corpora["synth-words"].root == "out/demo/corpus/synth-words"


def test_settings_do_not_say_where_corpora_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    forces = []
    for folder in ("/a", "/b"):
        monkeypatch.setenv("AVCAT_CORPORA", folder)
        params = load("real")
        forces.append(params.in_force())
        assert located(params.data.corpora["wild"].root) == Path(folder, "wild")
    assert forces[0] == forces[1]
    assert forces[0]["data"]["corpora"]["wild"]["root"] == "{corpora}/wild"
    monkeypatch.delenv("AVCAT_CORPORA")
    with pytest.raises(InputError, match="set AVCAT_CORPORA to the folder of your corpora"):
        check_corpora(load("real"))
    monkeypatch.setenv("AVCAT_CORPORA", "/nowhere")
    with pytest.raises(InputError, match=r"\{corpora\}/lrwar: not there \(data\.corpora\.lrwar\)"):
        check_corpora(load("real"))
    check_corpora(load("demo"))


def test_a_corpus_that_is_taken_away_is_not_rendered(tmp_path: Path) -> None:
    corpora = {"synth-wild": None, "mine": {"kind": "folder", "root": "videos"}}
    path = changed(tmp_path, "profiles/demo.yaml", "data", value={"corpora": corpora})
    params = load("demo", path)
    assert list(params.data.corpora) == ["synth-words", "mine"]
    counts = {name: part["train"] for name, part in params.in_force()["corpus"].items() if name in ("words", "wild")}
    assert counts == {"words": 64, "wild": 0}
    assert {spec.corpus for spec in plan(params.corpus)} == {"synth-words"}


def test_the_paper_is_the_reference() -> None:
    """Paper, section 4: 256 x 256, FFT 1280, hop 160, 80 bands; blocks, windows; lambda_vgg 1, lambda_sync 1e-4."""
    params = load("paper")
    backbone = params.train.model.backbone
    assert backbone is not None
    assert backbone.depths == (2, 3, 4, 3, 2)
    assert backbone.windows == (8, 16, 16, 16, 8)
    assert (params.mel.sample_rate, params.mel.fft_size, params.mel.hop_size, params.mel.bands) == (
        16000,
        1280,
        160,
        80,
    )
    assert params.train.model.image_size == 256
    weights = params.train.weights
    assert (weights.l1, weights.gan, weights.vgg, weights.sync) == (0.0, 1.0, 1.0, 1e-4)


def test_nothing_of_the_small_profiles_is_in_the_paper_s() -> None:
    """What helps with little data and time, and is not in the paper."""
    params = load("paper")
    train, backbone, refinement = params.train, params.train.model.backbone, params.train.model.refinement
    assert backbone is not None
    assert refinement is not None
    assert not any((backbone.skips, backbone.position_bias, refinement.reference))
    assert (backbone.encoder_stride, backbone.stage_strides) == (2, (2, 2, 2, -2, -2))
    assert backbone.audio_stages == (3, 4, 5)
    assert (train.weights.edges, train.l1_mouth, train.sync_form, train.gan_form) == (0.0, 1.0, "bce", "log")
    assert train.vgg_weights == "imagenet"
    assert set(train.vgg_layer_weights) == {1.0}
    assert train.consecutive
    assert not any((train.audio_from_syncnet, train.audio_frozen, train.optimiser.muon))
    assert (params.align.left_eye, params.align.right_eye) == ((0.37, 0.31), (0.63, 0.31))
    assert params.align.mouth_height is None


def test_precedence(tmp_path: Path) -> None:
    """Reference, then the extended profile, then the profile, then the row."""
    changed(tmp_path, FILE, "reference", "training", "optimiser", "gradient_clip", value=1.0)
    _edit(tmp_path / PROFILES / "_small.yaml", ("training", "optimiser"), {"steps": 2, "warmup_steps": 2, "seed": 2})
    _edit(tmp_path / PROFILES / "tiny.yaml", ("training", "optimiser"), {"warmup_steps": 3, "seed": 3})
    _edit(tmp_path / FILE, ("rows", "full", "settings", "optimiser"), {"seed": 4})
    optimiser = load("tiny", tmp_path / FILE).train.optimiser
    assert (optimiser.gradient_clip, optimiser.steps, optimiser.warmup_steps, optimiser.seed) == (1.0, 2, 3, 4)


def _edit(path: Path, keys: tuple[str, ...], value: Any) -> None:
    tree = yaml.safe_load(path.read_text())
    section = tree
    for key in keys:
        section = section.setdefault(key, {})
    section.update(value)
    path.write_text(yaml.safe_dump(tree))


def test_a_row_may_empty_a_section() -> None:
    assert load("tiny").row("rn-only").training.model.backbone is None  # type: ignore[attr-defined]
    assert load("tiny").row("without-rn").training.model.refinement is None  # type: ignore[attr-defined]


def test_the_evaluator_differs_from_syncnet_if_it_says_so(tmp_path: Path) -> None:
    path = changed(tmp_path, "profiles/gpu.yaml", "syncnet", "temperature", value=0.5)
    params = load("gpu", path)
    assert params.evaluator.temperature == params.syncnet.temperature == 0.5
    assert (params.syncnet.half, params.evaluator.half) == ("even", "odd")


def test_baselines_are_trained_like_av_cat_except_for_what_they_say(tmp_path: Path) -> None:
    changed(tmp_path, "profiles/gpu.yaml", "training", "optimiser", "steps", value=123)
    own = {"optimiser": {"batch_clips": 7}, "model": {"width": 9}}
    _edit(tmp_path / PROFILES / "gpu.yaml", ("methods", "pc_avs"), own)
    params = load("gpu", tmp_path / FILE)
    ours, theirs = params.train, params.row("pc_avs").training
    assert theirs.optimiser == replace(ours.optimiser, batch_clips=7)
    assert ours.optimiser.steps == 123
    assert theirs.min_reference_gap == ours.min_reference_gap  # type: ignore[attr-defined]
    model: Any = theirs.model  # type: ignore[attr-defined]
    assert (model.image_size, model.audio) == (ours.model.image_size, ours.model.audio)
    assert (model.width, theirs.weights.vgg) == (9, 10.0)  # type: ignore[attr-defined]
    assert theirs.weights.l1 == 0.0  # type: ignore[attr-defined]  # AV-CAT has 1 here: weights are not shared


def test_the_published_sizes_are_the_reference() -> None:
    """PEERS: Wav2Lip from 16 channels, sync 0.03, GAN 0.07; PC-AVS's codes and weights; MakeItTalk's LSTM."""
    rows: dict[str, Any] = {row: load("paper").row(row).training for row in ROWS}
    assert rows["wav2lip"].model.width == 16
    assert (rows["wav2lip"].weights.sync, rows["wav2lip"].weights.gan) == (0.03, 0.07)
    codes = rows["pc_avs"].model
    assert (codes.identity_dim, codes.mouth_dim, codes.pose_dim) == (2048, 500, 12)
    weights = rows["pc_avs"].weights
    assert (weights.gan, weights.vgg, weights.features, weights.contrastive) == (1, 10, 10, 100)
    talk = rows["makeittalk"]
    assert (talk.model.hidden, talk.model.lstm_layers, talk.sequence_frames) == (256, 3, 18)


@pytest.mark.parametrize("profile", profiles())
def test_wav2lip_l_is_the_same_with_and_without_refinement(profile: str) -> None:
    params = load(profile)
    refined, alone = (params.row(row).training for row in ("wav2lip_l-rn", "wav2lip_l"))
    assert refined.model.width == alone.model.width  # type: ignore[attr-defined]
    assert alone.model.width > params.row("wav2lip").training.model.width  # type: ignore[attr-defined]
    assert refined.model.refinement == params.train.model.refinement  # type: ignore[attr-defined]
    shared = [field.name for field in fields(refined) if field.name != "model"]  # type: ignore[arg-type]
    assert [getattr(refined, name) for name in shared] == [getattr(params.train, name) for name in shared]


SMALL = "profiles/_small.yaml"


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        (FILE, ("reference", "methods", "wave2lip"), {}, r"methods\.wave2lip: no row has this method"),
        (
            FILE,
            ("rows", "mine"),
            {"method": "wave2lip"},
            r"rows\.mine\.method: unknown method 'wave2lip', there are avcat, makeittalk",
        ),
        (FILE, ("rows", "syncnet"), {"method": "avcat"}, r"rows: syncnet: the name is reserved"),
        (FILE, ("rows",), {"mine": {"method": "avcat"}}, r"rows: full: missing key"),
        (
            FILE,
            ("reference", "methods", "wav2lip_rn", "like"),
            "avkat",
            r"methods\.wav2lip_rn\.like: no method 'avkat' in `methods`",
        ),
        (SMALL, ("extends",), "tiny", r"profiles/tiny\.yaml: extends itself \(tiny -> _small -> tiny\)"),
        (FILE, ("reference", "mel", "hop_sise"), 1, r"mel\.hop_sise: unknown key, did you mean 'hop_size'\?"),
        (SMALL, ("methods", "avcat", "stpes"), 1, r"rows\.full\.stpes: unknown key"),
        (SMALL, ("methods", "avcat", "weights", "gam"), 1, r"rows\.full\.weights\.gam: unknown key, .*'gan'"),
        (SMALL, ("trian",), {}, r"profiles/_small\.yaml: trian: unknown key"),
        (FILE, ("rows", "full", "sync"), {}, r"rows\.full: sync: unknown key"),
        (FILE, ("reference", "training"), None, r"reference: training: expected a section"),
        (FILE, ("rows",), None, r"params\.yaml: rows: expected a section"),
        (FILE, ("extra",), 1, r"params\.yaml: extra: unknown key"),
        (SMALL, ("mel",), None, r"_small\.yaml: mel: expected a section"),
        (FILE, ("reference", "mel", "bands"), "eighty", r"mel\.bands: expected a valid integer, got 'eighty'"),
        (FILE, ("profile",), "nosuch", "no profile 'nosuch', there are demo, gpu"),
        (FILE, ("selected",), ["full", "fool"], r"selected: unknown row 'fool', there are full"),
        (FILE, ("selected",), "full", r"selected: expected a list of names, got 'full'"),
        (FILE, ("reference", "data", "crop_size"), 0, r"data\.crop_size: expected greater than or equal to 16, got 0"),
        (FILE, ("reference", "data", "max_clip_s"), 0.0, r"data\.max_clip_s: expected greater than or equal to 0\.001"),
        (FILE, ("reference", "data", "min_loudness_db"), float("nan"), r"min_loudness_db: expected a finite number"),
        (
            FILE,
            ("reference", "data", "mix"),
            {"mine": -1.0},
            r"data\.mix\.mine: expected greater than or equal to 0, got",
        ),
        (
            FILE,
            ("reference", "data", "corpora", "synth-wild", "rot"),
            "x",
            r"corpora\.synth-wild\.rot: unknown key, .*'root'",
        ),
        (SMALL, ("align", "mouth_height"), float("nan"), r"align\.mouth_height: expected a finite number"),
        (FILE, ("reference", "mel", "bands"), 40, r"model\.audio\.bands: 80, but mel\.bands is 40"),
        (SMALL, ("training", "optimiser", "gradient_clip"), -1.0, r"optimiser\.gradient_clip: expected greater"),
        (FILE, ("runtime", "workers"), -1, r"runtime\.workers: expected greater"),
        (FILE, ("runtime", "device"), "tpu", r"runtime\.device: expected 'auto', 'cpu' or 'cuda', got 'tpu'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, file: str, keys: tuple[str, ...], value: Any, message: str) -> None:
    path = changed(tmp_path, file, *keys, value=value)

    def everything() -> None:
        params = load(None if keys == ("profile",) else "tiny", path)
        _ = params.runtime
        params.in_force()

    with pytest.raises(InputError, match=message) as caught:
        everything()
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_in_force_is_checked_too(tmp_path: Path) -> None:
    check()
    path = changed(tmp_path, "profiles/gpu.yaml", "training", "stpes", value=1)
    load("tiny", path).in_force()
    path = changed(tmp_path, "profiles/gpu.yaml", "syncnet", "stpes", value=1)
    with pytest.raises(InputError, match=r"params\.yaml with profiles/gpu\.yaml: syncnet\.stpes: unknown key"):
        check(path)


def test_a_key_that_no_method_has_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, "profiles/gpu.yaml", "training", "stpes", value=1)
    with pytest.raises(InputError, match=r"profiles/gpu\.yaml: training\.stpes: no method has this setting"):
        check(path)


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, FILE, "profile", value="tiny")
    lines = (ROOT / FILE).read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.strip() == "fft_size: 1280")
    lines.insert(place + 1, lines[place].replace("1280", "640"))
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"params\.yaml: line {place + 2}: fft_size: duplicate key"):
        load("tiny", path)


def test_no_value_stands_for_two_keys() -> None:
    """Of YAML's aliases DVC's `-S` changes one and moves the other."""
    for path in (ROOT / FILE, *(ROOT / PROFILES).iterdir()):
        assert not [token for token in yaml.scan(path.read_text()) if isinstance(token, yaml.AliasToken)], path


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError, match="No such file"):
        load(path=path)
    path.write_text("a: [1, 2")
    with pytest.raises(InputError) as caught:
        load(path=path)
    assert "\n" not in str(caught.value)
