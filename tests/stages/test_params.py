"""The settings in force: reference, then profile, then variant; and no unknown keys."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from avcat.errors import InputError
from stages._params import FILE, ROOT, SECTIONS, check, load, merge

TREE: dict[str, Any] = yaml.safe_load((ROOT / FILE).read_text())


def write(folder: Path, tree: dict[str, Any]) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def changed(*keys: str, value: Any) -> dict[str, Any]:
    """The project's own params with one value set at a path of keys."""
    tree = yaml.safe_load((ROOT / FILE).read_text())
    section = tree
    for key in keys[:-1]:
        section = section.setdefault(key, {})
    section[keys[-1]] = value
    return tree


def test_merge_goes_key_by_key_and_replaces_lists() -> None:
    base = {"a": {"b": 1, "c": [1, 2, 3]}, "d": 4, "e": {"f": 5}}
    over = {"a": {"c": [9]}, "e": None, "g": {"h": 6}}
    assert merge(base, over) == {"a": {"b": 1, "c": [9]}, "d": 4, "e": None, "g": {"h": 6}}
    assert base == {"a": {"b": 1, "c": [1, 2, 3]}, "d": 4, "e": {"f": 5}}


@pytest.mark.parametrize("profile", list(TREE["profiles"]))
@pytest.mark.parametrize("variant", list(TREE["variants"]))
def test_every_profile_and_variant_parses(profile: str, variant: str) -> None:
    params = load(profile, variant)
    assert (params.profile, params.variant) == (profile, variant)
    assert params.out == Path("out", profile)
    assert params.data.corpora["synth-words"].root == f"out/{profile}/corpus/synth-words"


@pytest.mark.parametrize("profile", list(TREE["profiles"]))
def test_every_profile_names_every_section_for_dvc(profile: str) -> None:
    assert set(TREE["profiles"][profile]) == set(SECTIONS)


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
    assert not any((backbone.skips, backbone.position_bias, backbone.mutual_shares_projection, refinement.reference))
    assert (backbone.encoder_stride, backbone.stage_strides) == (2, (2, 2, 2, -2, -2))
    assert backbone.audio_stages == (3, 4, 5)
    assert (train.weights.edges, train.weights.l1_mouth, train.sync_form, train.gan_form) == (0.0, 1.0, "bce", "log")
    assert train.vgg_weights == "imagenet"
    assert set(train.vgg_layer_weights) == {1.0}
    assert train.consecutive
    assert not any((train.audio_from_syncnet, train.audio_frozen, train.optimiser.muon))
    assert (params.align.left_eye, params.align.right_eye) == ((0.37, 0.31), (0.63, 0.31))
    assert params.align.mouth_height is None


def test_precedence(tmp_path: Path) -> None:
    tree = changed("reference", "train", "optimiser", "steps", value=1)
    tree["reference"]["train"]["optimiser"]["warmup_steps"] = 1
    tree["reference"]["train"]["optimiser"]["learning_rate"] = 1.0
    tree["profiles"]["tiny"]["train"]["optimiser"] = {"warmup_steps": 2, "learning_rate": 2.0}
    tree["variants"]["full"]["train"] = {"optimiser": {"learning_rate": 3.0}}
    optimiser = load("tiny", path=write(tmp_path, tree)).train.optimiser
    assert (optimiser.steps, optimiser.warmup_steps, optimiser.learning_rate) == (1, 2, 3.0)


def test_a_variant_may_empty_a_section() -> None:
    assert load("tiny", "rn-only").train.model.backbone is None
    assert load("tiny", "without-rn").train.model.refinement is None


def test_the_evaluator_differs_from_syncnet_where_it_says_so(tmp_path: Path) -> None:
    tree = changed("profiles", "gpu", "syncnet", "temperature", value=0.5)
    tree["reference"]["evaluator"] = {"half": "odd"}
    params = load("gpu", path=write(tmp_path, tree))
    assert params.evaluator.temperature == params.syncnet.temperature == 0.5
    assert (params.syncnet.half, params.evaluator.half) == ("even", "odd")


def test_baselines_are_trained_like_av_cat_but_for_what_they_say(tmp_path: Path) -> None:
    tree = changed("profiles", "tiny", "train", "optimiser", "steps", value=123)
    tree["profiles"]["tiny"]["baselines"] = {"pc_avs": {"optimiser": {"batch_clips": 7}, "model": {"width": 9}}}
    params = load("tiny", path=write(tmp_path, tree))
    ours, theirs = params.train, params.baselines.pc_avs
    assert theirs.optimiser == replace(ours.optimiser, batch_clips=7)
    assert ours.optimiser.steps == 123
    assert theirs.min_reference_gap == ours.min_reference_gap
    assert (theirs.model.image_size, theirs.model.audio) == (ours.model.image_size, ours.model.audio)
    assert (theirs.model.width, theirs.weights.vgg) == (9, 10.0)


def test_the_published_sizes_are_the_reference() -> None:
    """PEERS: Wav2Lip from 16 channels, sync 0.03, GAN 0.07; PC-AVS's codes and weights; MakeItTalk's LSTM."""
    baselines = load("paper").baselines
    assert baselines.wav2lip.model.width == 16
    assert (baselines.wav2lip.weights.sync, baselines.wav2lip.weights.gan) == (0.03, 0.07)
    codes = baselines.pc_avs.model
    assert (codes.identity_dim, codes.mouth_dim, codes.pose_dim) == (2048, 500, 12)
    weights = baselines.pc_avs.weights
    assert (weights.gan, weights.vgg, weights.features, weights.contrastive) == (1, 10, 10, 100)
    talk = baselines.makeittalk
    assert (talk.model.hidden, talk.model.lstm_layers, talk.sequence_frames) == (256, 3, 18)


@pytest.mark.parametrize("profile", list(TREE["profiles"]))
def test_wav2lip_l_is_the_same_with_and_without_refinement(profile: str) -> None:
    params = load(profile, "wav2lip_l-rn")
    assert params.train.model.backbone is None
    assert params.train.model.wav2lip == params.baselines.wav2lip_l.model
    assert params.baselines.wav2lip_l.model.width > params.baselines.wav2lip.model.width


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("reference", "baselines", "wave2lip"), {}, r"baselines\.wave2lip: unknown key, did you mean 'wav2lip'"),
        (("reference", "mel", "hop_sise"), 1, r"params\.yaml: mel\.hop_sise: unknown key, did you mean 'hop_size'\?"),
        (("profiles", "tiny", "train", "stpes"), 1, r"params\.yaml: train\.stpes: unknown key"),
        (("profiles", "tiny", "trian"), {}, r"profiles\.tiny\.trian: unknown key"),
        (("variants", "full", "corpus"), {}, r"variants\.full\.corpus: unknown key"),
        (("reference", "train"), None, r"reference\.train: expected a section"),
        (("profiles",), None, r"params\.yaml: profiles: expected a section"),
        (("extra",), 1, r"params\.yaml: extra: unknown key"),
        (("profiles", "tiny", "mel"), None, "expected a section"),
        (("reference", "mel", "bands"), "eighty", r"mel\.bands: expected int, got 'eighty'"),
        (("profile",), "nosuch", "no 'nosuch' in profiles, there are"),
        (("rows", "variants"), ["full", "fool"], r"rows\.variants: no settings for 'fool', there are full, rn-only"),
        (("rows", "baselines"), ["wave2lip"], r"rows\.baselines: no settings for 'wave2lip', there are make"),
        (("rows", "variants"), "full", r"rows\.variants: expected a list of names, got 'full'"),
        (("rows", "peers"), [], r"rows\.peers: unknown key"),
        (("reference", "data", "crop_size"), 0, r"data\.crop_size: expected 16 to 4096, got 0"),
        (("reference", "data", "max_clip_s"), 0.0, r"data\.max_clip_s: expected 0\.001 to"),
        (("reference", "data", "min_loudness_db"), float("nan"), r"data\.min_loudness_db: expected a number, got nan"),
        (("reference", "data", "mix"), {"mine": -1.0}, r"data\.mix\.mine: expected 0 to 1, got -1"),
        (("reference", "align", "mouth_height"), float("nan"), r"align\.mouth_height: expected a number, got nan"),
        (("reference", "mel", "bands"), 40, r"model\.audio\.bands: 80, but mel\.bands is 40"),
        (("reference", "train", "optimiser", "gradient_clip"), -1.0, r"train\.optimiser\.gradient_clip: expected 0 to"),
        (("runtime", "workers"), -1, r"runtime\.workers: expected 0 to"),
        (("runtime", "device"), "tpu", r"runtime\.device: 'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, keys: tuple[str, ...], value: Any, message: str) -> None:
    tree = changed(*keys, value=value)
    profile = {("profile",): None, ("reference", "align", "mouth_height"): "paper"}.get(keys, "tiny")
    with pytest.raises(InputError, match=message):
        load(profile, path=write(tmp_path, tree))


def test_a_profile_that_is_not_in_force_is_checked_too(tmp_path: Path) -> None:
    check()
    path = write(tmp_path, changed("profiles", "gpu", "train", "stpes", value=1))
    load("tiny", path=path)
    with pytest.raises(InputError, match=r"train\.stpes: unknown key.*\(profile gpu, variant full\)"):
        check(path)


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    lines = (ROOT / FILE).read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if line.strip() == "fft_size: 1280")
    lines.insert(place + 1, lines[place].replace("1280", "640"))
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=rf"params\.yaml: line {place + 2}: fft_size: duplicate key"):
        load("tiny", path=path)


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    tree = changed("profile", value="tiny")
    del tree["profiles"]["tiny"]["mel"]
    with pytest.raises(InputError, match=r"profiles\.tiny\.mel: missing key"):
        load(path=write(tmp_path, tree))


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError, match="No such file"):
        load(path=path)
    path.write_text("a: [1, 2")
    with pytest.raises(InputError) as caught:
        load(path=path)
    assert "\n" not in str(caught.value)
