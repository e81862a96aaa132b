"""Sound lies where the file states, to the sample, for any container, rate, depth and channels."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from drawn import numbered, tone, write_video

from avcat.errors import InputError
from avcat.media.audio import audio_blocks, audio_duration, load_audio, loudness_db


def encode(path: Path, codec: str, samples: np.ndarray, rate: int, late: int = 0, container: str | None = None) -> Path:
    """Mono `samples` through `codec`, starting `late` samples after time 0 of a container that has a picture at 0."""
    with av.open(str(path), "w", format=container) as out:
        if late:
            picture = out.add_stream("libx264", rate=25)
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
        sound = out.add_stream(codec, rate=rate, layout="mono")
        if late:
            for _ in range(25):
                out.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
            out.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, late, Fraction(1, rate)
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize(
    ("rate", "subtype"), [(50_000, "PCM_16"), (48_000, "PCM_24"), (44_100, "FLOAT"), (8_000, "PCM_U8")]
)
def test_length_and_phase_are_exact(tmp_path: Path, rate: int, subtype: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1.2345, rate), rate, subtype=subtype)
    count = round(1.2345 * rate)
    samples = load_audio(path)
    assert samples.dtype == np.float32
    assert abs(samples.size - count * 16_000 / rate) <= 0.5
    wanted = tone(2)[: samples.size]
    np.testing.assert_allclose(samples[200:-200], wanted[200:-200], atol=0.01 if subtype == "PCM_U8" else 1e-3)
    assert audio_duration(path) == count / rate


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(0.5), np.zeros(8_000)], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(path), tone(0.5) / 2, atol=1e-7)


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.5), 16_000)
    shutil.move(tmp_path / "a.wav", tmp_path / "a:b.mp3")  # the colon must not be read as a protocol
    assert load_audio(tmp_path / "a:b.mp3").size == 8_000


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.m4a", "aac", 16_000), ("a.mp3", "libmp3lame", 44_100), ("a.opus", "libopus", 48_000)],
)
def test_an_encoders_priming_is_not_heard(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    noise = np.random.default_rng(0).standard_normal(rate * 2).astype(np.float32) * 0.1
    noise = soxr.resample(soxr.resample(noise, rate, 8_000), 8_000, rate)  # what every codec keeps
    path = encode(tmp_path / name, codec, noise, rate)
    heard, wanted = load_audio(path), soxr.resample(noise, rate, 16_000)
    assert abs(heard.size - wanted.size) <= 1
    size = min(heard.size, wanted.size)
    products = [float(heard[100 : size - 100] @ wanted[100 + lag : size - 100 + lag]) for lag in range(-20, 21)]
    assert int(np.argmax(products)) - 20 == 0


def test_a_late_sound_is_preceded_by_zeros(tmp_path: Path) -> None:
    path = encode(tmp_path / "late.mkv", "pcm_s16le", tone(0.5), 16_000, late=4_000)
    samples = load_audio(path)
    assert samples.size == 12_000
    assert (samples[:3_999] == 0).all()
    np.testing.assert_allclose(samples[4_000:], tone(0.5), atol=1e-4)


def test_a_long_hole_comes_a_second_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "paused.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, 1800 * 16_000):  # paused for half an hour
            frame = av.AudioFrame.from_ndarray(tone(0.05)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert max(block.shape[1] for _, block in audio_blocks(path)) == 16_000
    assert audio_duration(path) == pytest.approx(1800.05, abs=1e-3)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound " * 100)
    silent = write_video(tmp_path / "silent.mp4", numbered(5))
    for path, reason in [
        (tmp_path / "none.wav", "no such file"),
        (tmp_path / "empty.wav", "empty"),
        (tmp_path / "text.wav", "cannot be read"),
        (silent, "no audio stream"),
        (tmp_path, "not a file"),
    ]:
        with pytest.raises(InputError, match=reason) as error:
            load_audio(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("sample", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(tmp_path: Path, sample: float) -> None:
    """One NaN would make a whole file's loudness NaN, and each mel with it."""
    samples = tone(3.0)
    samples[40_000] = sample
    soundfile.write(tmp_path / "bad.wav", samples, 16_000, "FLOAT")
    with pytest.raises(InputError, match=r"bad\.wav: holds samples that are no sound"):
        load_audio(tmp_path / "bad.wav")
    soundfile.write(tmp_path / "loud.wav", 100 * tone(0.1), 16_000, "FLOAT")  # too loud a recording is still one
    np.testing.assert_allclose(load_audio(tmp_path / "loud.wav"), 100 * tone(0.1), rtol=1e-6)


@pytest.mark.parametrize(
    ("codec", "container", "rate"), [("aac", "mp4", 44_100), ("flac", "flac", 16_000), ("mp2", "mpeg", 48_000)]
)
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 1.5), (0.72, 3.0), (21.36, 24.0), (38.5, 40.0), (39.0, 45.0)])
def test_a_part_is_what_the_whole_has_there(
    tmp_path: Path, codec: str, container: str, rate: int, start_s: float, end_s: float
) -> None:
    """Sweeping sound, so that a part which lies elsewhere, by a sample even, is another sound."""
    times = np.arange(40 * rate) / rate
    sound = (0.3 * np.sin(2 * np.pi * (200 * times + 20 * times**2))).astype(np.float32)
    path = encode(tmp_path / f"a.{container}", codec, sound, rate)
    whole = load_audio(path)
    part = load_audio(path, 16_000, start_s, end_s)
    expected = whole[round(start_s * 16_000) : round(end_s * 16_000)]
    assert part.size == expected.size
    np.testing.assert_allclose(part, expected, atol=2e-3)


def test_loudness_by_hand() -> None:
    assert loudness_db(np.full(10, 0.1, np.float32)) == pytest.approx(-20, abs=1e-4)
    assert loudness_db(np.zeros(10, np.float32)) == loudness_db(np.zeros(0, np.float32)) == -np.inf
