"""Features of pretrained networks instead of mels. The networks are small, with random weights."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from drawn import ALIGN, MEL, face_picture, tone, write_video
from small_training import AUDIO, OPTIMISER, SIZE, SYNC, TRAIN, talking_clip

from avcat.apps.cli import main
from avcat.checkpoint import save_model
from avcat.data.inputs import InputConfig
from avcat.data.shards import ShardReader, write_shard
from avcat.data.windows import ClipStore
from avcat.dubbing.speech import Speech
from avcat.errors import InputError
from avcat.media import pretrained
from avcat.media.audio import load_audio
from avcat.media.mel import MelConfig, PretrainedConfig, cut, mel_spectrogram, mel_windows, window_starts
from avcat.methods import build
from avcat.methods.avcat.task import AVCATTask
from avcat.methods.syncnet.model import SyncNet
from avcat.methods.syncnet.task import SyncNetTask
from avcat.settings import to_dict

transformers = pytest.importorskip("transformers")
BANDS, LAYER = 16, 1
SMALL = {
    "hidden_size": BANDS,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
KINDS = {
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
    "hubert": ("HubertConfig", "HubertModel"),
    "wavlm": ("WavLMConfig", "WavLMModel"),
}
HEARD = replace(AUDIO, kind="features", bands=BANDS)


def saved(folder: Path, kind: str = "wav2vec2", **changes: object) -> MelConfig:
    """A network of that kind with random weights, and the settings that name it."""
    settings, network = (getattr(transformers, name) for name in KINDS[kind])
    torch.manual_seed(0)
    network(settings(**SMALL | changes)).save_pretrained(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return replace(MEL, bands=BANDS, pretrained=PretrainedConfig(str(folder), digest[:12], LAYER))


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> MelConfig:
    return saved(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_what_the_network_says_of_sound_of_unit_variance(kind: str, tmp_path: Path) -> None:
    config = saved(tmp_path, kind)
    samples = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    network = getattr(transformers, KINDS[kind][1]).from_pretrained(tmp_path).eval()
    padded = np.pad(samples / np.sqrt(np.mean(np.square(samples))), 40)  # 25 ms about the middle of every 20 ms
    with torch.inference_mode():
        states = network(torch.from_numpy(padded)[None], output_hidden_states=True).hidden_states
    expected = states[LAYER][0].numpy().repeat(2, axis=0).T
    heard = mel_spectrogram(samples, config)
    assert heard.shape == expected.shape == (BANDS, 100)
    np.testing.assert_allclose(heard, expected, atol=1e-4)


def test_what_is_heard_at_a_moment_is_in_that_moments_columns(tmp_path: Path) -> None:
    """A network without attention over time: with layer 0, a column depends only on its 25 ms, except for the norm."""
    config = saved(tmp_path, feat_extract_norm="layer", num_conv_pos_embeddings=2)
    config = replace(config, pretrained=replace(config.pretrained, layer=0))
    silence, click = np.full(32_000, 1e-3, np.float32), np.full(32_000, 1e-3, np.float32)
    click[25 * 640 + 320] = 1.0  # the middle of frame 25
    changed = np.abs(mel_spectrogram(click, config) - mel_spectrogram(silence * np.float32(_level(click)), config))
    frames = changed.max(axis=0).reshape(-1, 4).max(axis=1)
    assert frames.argmax() == 25
    assert frames[[23, 27]].max() < frames[25] / 3


def _level(samples: np.ndarray) -> float:
    """What makes a constant of 1e-3 as loud, after scaling, as it is beside the click."""
    return 1e-3 / float(np.sqrt(np.mean(np.square(samples))))


def test_long_sounds_are_heard_in_pieces_that_fit(
    hearing: MelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "_BLOCK", 40)
    monkeypatch.setattr(pretrained, "_CONTEXT", 20)
    sound = tmp_path / "noise.wav"
    soundfile.write(sound, np.random.default_rng(1).normal(0, 0.1, 50_000), 16_000)
    whole = mel_spectrogram(load_audio(sound), hearing)
    assert whole.shape == (BANDS, 4 * 79)
    speech, times_s = Speech(sound, hearing), np.arange(0, 3.3, 1 / 30)
    for part in np.array_split(times_s, 7):  # streamed, the pieces are the same
        np.testing.assert_allclose(speech.windows(part), cut(whole, window_starts(part)), atol=1e-5)


def test_a_sound_of_any_length_has_four_columns_a_frame(hearing: MelConfig) -> None:
    for samples, frames in ((0, 0), (1, 1), (640, 1), (641, 2), (16_000, 25)):
        assert mel_spectrogram(np.zeros(samples, np.float32), hearing).shape == (BANDS, 4 * frames)


def shards_of(folder: Path, hearing: MelConfig) -> Path:
    """Talking clips that are heard by the network."""
    rng = np.random.default_rng(2)
    clips = [talking_clip(f"speaker{i}") for i in range(4)]
    sounds = [mel_spectrogram(rng.normal(0, 0.1, 40 * 640).astype(np.float32), hearing) for _ in clips]
    folder.mkdir()
    write_shard(
        folder / "shard-000000.tar", [replace(clip, mel=sound) for clip, sound in zip(clips, sounds, strict=True)]
    )
    return folder


def test_shards_keep_them_and_networks_learn_from_them(hearing: MelConfig, tmp_path: Path) -> None:
    shards = shards_of(tmp_path / "shards", hearing)
    reader = ShardReader(shards / "shard-000000.tar")
    assert reader.bands == BANDS
    assert reader.mel(1).shape == (BANDS, 160)
    store = ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30)
    syncnet = replace(SYNC.model, audio=HEARD)
    sync = SyncNetTask(replace(SYNC, model=syncnet), store, store, None, "cpu")
    batch = sync.sampler.batch(0)
    np.testing.assert_array_equal(batch.mels[0], mel_windows(store.mel(batch.clips[0]), batch.at[0, :5]))
    before = [p.detach().clone() for p in sync.network.audio.parameters()]
    assert np.isfinite(sync.step(0, batch)["loss"])
    assert all(not torch.equal(a, b) for a, b in zip(before, sync.network.audio.parameters(), strict=True))

    config = replace(TRAIN, model=replace(TRAIN.model, audio=HEARD), optimiser=OPTIMISER)
    task = AVCATTask(config, store, store, SyncNet(syncnet), "cpu")
    assert np.isfinite(task.step(0, task.sampler.batch(0))["total"])


def model_of(path: Path, hearing: MelConfig) -> Path:
    model = replace(TRAIN.model, audio=HEARD)
    torch.manual_seed(0)
    save_model(path, "avcat", build("avcat", to_dict(model)), model, InputConfig(64, ALIGN, hearing), {"steps": 1})
    return path


def test_a_model_that_hears_them_dubs(hearing: MelConfig, tmp_path: Path, monkeypatch, capsys) -> None:
    model = model_of(tmp_path / "model.pt", hearing)
    write_video(tmp_path / "face.mp4", iter([face_picture()] * 10))
    soundfile.write(tmp_path / "sound.wav", tone(0.6), 16_000)
    words = ["dub", str(tmp_path / "face.mp4"), str(tmp_path / "sound.wav"), "--model", str(model), "-o"]
    assert main([*words, str(tmp_path / "out.mp4")]) == 0, capsys.readouterr().err
    monkeypatch.setenv(pretrained.FOLDER, str(tmp_path / "nowhere"))
    assert main([*words, str(tmp_path / "none.mp4")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith(f"error: {tmp_path / 'nowhere'}: no model.safetensors")
    assert not (tmp_path / "none.mp4").exists()
    moved = tmp_path / "moved"
    saved(moved)  # the same weights elsewhere
    monkeypatch.setenv(pretrained.FOLDER, str(moved))
    assert main([*words, str(tmp_path / "moved.mp4")]) == 0


def _other_weights(folder: Path) -> MelConfig:
    config = saved(folder)
    return replace(config, pretrained=replace(config.pretrained, sha256="0" * 64))


def _no_weights(folder: Path) -> MelConfig:
    config = saved(folder)
    (folder / "model.safetensors").unlink()
    return config


def _another_kind(folder: Path) -> MelConfig:
    config = saved(folder)
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"model_type": "bert"}))
    return config


def _cut_off(folder: Path) -> MelConfig:
    config = saved(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return replace(config, pretrained=replace(config.pretrained, sha256=digest))


def _one_layer_short(folder: Path) -> MelConfig:
    config = saved(folder)
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"num_hidden_layers": 3}))
    return config


def _no_such_layer(folder: Path) -> MelConfig:
    config = saved(folder)
    return replace(config, pretrained=replace(config.pretrained, layer=3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_other_weights, "its sha256 is"),
        (_no_weights, "no model.safetensors or pytorch_model.bin here; set AVCAT_FEATURES"),
        (_another_kind, "a network of kind bert, there are wav2vec2, hubert, wavlm"),
        (_cut_off, "cannot be loaded"),
        (_one_layer_short, r"lacks encoder\.layers\.2"),
        (_no_such_layer, "mel.pretrained.layer: 3, but .* has layers 0 to 2"),
        (lambda folder: replace(saved(folder), bands=80), "mel.bands: 80, but .* has 16 features"),
        (lambda folder: replace(saved(folder), sample_rate=24_000, hop_size=240), "hear 16000 Hz, not 24000"),
        (lambda folder: saved(folder, conv_stride=(5, 2, 2, 2, 2, 2, 4)), "does not give one column every 320 samples"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(wrong, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as reported:
        mel_spectrogram(np.zeros(16_000, np.float32), wrong(tmp_path))
    assert "\n" not in str(reported.value)


def test_encoders_of_mels_refuse_features() -> None:
    with pytest.raises(InputError, match="'small' takes 80 bands, not 16"):
        build("syncnet", to_dict(replace(SYNC.model, audio=replace(AUDIO, bands=BANDS))))
