"""Windows of a stream are those of the whole spectrogram, however they are asked for."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from drawn import MEL

from avcat.dubbing.speech import Speech
from avcat.errors import InputError
from avcat.media import mel as mel_module
from avcat.media.audio import load_audio
from avcat.media.mel import cut, mel_spectrogram, window_starts


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """7.3 s of noise that swells, stereo at 44.1 kHz."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(round(7.3 * 44_100), 2)) * np.linspace(0, 0.2, round(7.3 * 44_100))[:, None]
    soundfile.write(tmp_path / "noise.wav", samples, 44_100)
    return tmp_path / "noise.wav"


@pytest.mark.parametrize("chunk", [17, 100, 4096])
def test_windows_are_those_of_the_whole(sound: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mel_spectrogram(load_audio(sound), MEL)
    monkeypatch.setattr(mel_module, "_CHUNK_COLUMNS", chunk)
    speech = Speech(sound, MEL)
    times_s = np.concatenate([[-0.5], np.arange(0, 9, 1 / 29.97)])  # before the start and beyond the end, too
    for part in np.array_split(times_s, 11):
        np.testing.assert_allclose(speech.windows(part), cut(whole, window_starts(part)), atol=1e-5)


def test_a_stretch_may_be_skipped(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mel_spectrogram(load_audio(sound), MEL)
    monkeypatch.setattr(mel_module, "_CHUNK_COLUMNS", 32)
    speech = Speech(sound, MEL)
    for at_s in (0.0, 5.0, 5.04, 7.0):
        np.testing.assert_allclose(
            speech.windows(np.array([at_s])), cut(whole, window_starts(np.array([at_s]))), atol=1e-5
        )


def test_length_and_level(tmp_path: Path, sound: Path) -> None:
    speech = Speech(sound, MEL)
    assert speech.duration_s == pytest.approx(7.3, abs=1e-4)
    rms = np.sqrt(np.mean(np.square(load_audio(sound), dtype=np.float64)))
    assert speech.loudness_db == pytest.approx(20 * np.log10(rms), abs=1e-6)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    silence = Speech(tmp_path / "silence.wav", MEL)
    assert silence.loudness_db == -math.inf
    assert not silence.windows(np.array([0.5])).any()


def test_no_sound_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Speech(tmp_path / "none.wav", MEL)
