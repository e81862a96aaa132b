"""What is written is what was given: pictures, time stamps, and sound to the sample."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from drawn import number_of, numbered, tone, write_video
from test_media_audio import encode

from avcat.errors import InputError
from avcat.media.audio import audio_blocks, load_audio
from avcat.media.video import Colour, decode, probe
from avcat.media.writer import VideoWriter


def sound_of(path: Path) -> np.ndarray:
    return np.concatenate([block for _, block in audio_blocks(path)], axis=1)


def write(path: Path, audio: object, frames: int = 60, **options: object) -> Path:
    return write_video(path, numbered(frames), audio=audio, **options)


def test_time_stamps_and_the_end_are_exact(tmp_path: Path) -> None:
    pts = [507, 1531, 2043, 2555, 3579, 3600]
    path = write_video(tmp_path / "a.mp4", numbered(5), pts, time_base=Fraction(1, 15_360), fps=22)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert [frame.pts for frame in container.decode(stream)] == pts[:-1]
        assert stream.time_base == Fraction(1, 15_360)
        assert (stream.start_time or 0) + (stream.duration or 0) == pts[-1]
    assert [number_of(frame.image) for frame in decode(path)] == list(range(5))


@pytest.mark.parametrize("matrix", [1, 2, 5])
def test_colours_survive(tmp_path: Path, matrix: int) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32], image[:32, 32:], image[32:, :32], image[32:, 32:] = (
        (200, 30, 40),
        (30, 190, 50),
        (40, 60, 210),
        128,
    )
    path = write_video(tmp_path / "a.mp4", iter([image] * 5), colour=Colour(matrix, 2, 2))
    assert probe(path).colour.matrix == matrix
    for frame in decode(path):
        for y, x in [(16, 16), (16, 48), (48, 16), (48, 48)]:
            np.testing.assert_allclose(frame.image[y, x].astype(int), image[y, x], atol=5)


def test_odd_sizes_grow_by_a_repeated_edge(tmp_path: Path) -> None:
    image = np.full((47, 63, 3), 90, np.uint8)
    path = write_video(tmp_path / "a.mp4", iter([image] * 3))
    frame = next(decode(path)).image
    assert frame.shape == (48, 64, 3)
    np.testing.assert_allclose(frame.astype(int), 90, atol=3)


def test_pixel_aspect_is_kept(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(3), pixel_aspect=Fraction(16, 11))
    assert probe(path).pixel_aspect == Fraction(16, 11)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "container"),
    [
        ("a.m4a", "aac", 44_100, "mp4"),
        ("a.aac", "aac", 16_000, "adts"),
        ("a.mkv", "aac", 44_100, None),
        ("a.mp3", "libmp3lame", 44_100, None),
        ("mp3.mkv", "libmp3lame", 44_100, None),
        ("a.opus", "libopus", 48_000, None),
        ("a.webm", "libopus", 48_000, None),
        ("a.flac", "flac", 44_100, None),
        ("alac.m4a", "alac", 44_100, "mp4"),
        ("a.ac3", "ac3", 48_000, None),
    ],
)
def test_a_copied_sound_keeps_every_sample(
    tmp_path: Path, name: str, codec: str, rate: int, container: str | None
) -> None:
    noise = (np.random.default_rng(0).standard_normal(2 * rate + 377) * 0.1).astype(np.float32)
    given = encode(tmp_path / name, codec, noise, rate, container=container)
    out = write(tmp_path / "out.mp4", given)
    assert probe(out).audio_codec in (codec, codec.removeprefix("lib"), "mp3float")
    np.testing.assert_array_equal(sound_of(out), sound_of(given))
    with av.open(str(out)) as file:
        stream = file.streams.audio[0]
        assert stream.start_time == 0
        assert float((stream.duration or 0) * (stream.time_base or 0)) == pytest.approx(
            sound_of(given).shape[1] / rate, abs=1e-3
        )


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 50_000, 192_000])
def test_an_encoded_sound_keeps_its_length_and_place(tmp_path: Path, rate: int) -> None:
    clicks = np.zeros((round(1.5 * rate), 2), np.float32)
    for at in (0.25, 0.6, 1.3):
        start = round(at * rate)
        clicks[start : start + rate // 100, 0] = tone(0.01, rate, 900)
    soundfile.write(tmp_path / "a.wav", clicks, rate, subtype="PCM_24")
    out = write(tmp_path / "out.mp4", tmp_path / "a.wav")
    info = probe(out)
    assert info.audio_codec == "aac"
    heard, wanted = load_audio(out), load_audio(tmp_path / "a.wav")
    assert abs(heard.size - wanted.size) <= 1
    assert sound_of(out).shape[0] == 2
    size = min(heard.size, wanted.size)
    lag = int(np.argmax([heard[50 : size - 50] @ wanted[50 + k : size - 50 + k] for k in range(-50, 51)])) - 50
    assert abs(lag) <= 16  # a millisecond


def test_a_late_sound_stays_late(tmp_path: Path) -> None:
    for codec in ("aac", "pcm_s16le"):
        given = encode(tmp_path / f"{codec}.mkv", codec, tone(0.8), 16_000, late=4_000)
        out = write(tmp_path / f"{codec}.mp4", given)
        heard, wanted = load_audio(out), load_audio(given)
        assert abs(heard.size - wanted.size) <= 16
        assert np.abs(heard[:3_900]).max() < 0.02
        assert np.flatnonzero(np.abs(heard) > 0.1)[0] == pytest.approx(np.flatnonzero(np.abs(wanted) > 0.1)[0], abs=16)


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.mp4", "aac", 16_000), ("a.mkv", "pcm_s16le", 16_000)])
def test_lost_packets_are_silence_for_eyes_and_ears_alike(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    """One packet of 64 ms is missing: what comes after stays where it was, in what is heard and in the copy."""
    noise = np.random.default_rng(0).standard_normal(2 * rate)
    sound = np.convolve(noise, np.ones(8) / 30, "same").astype(np.float32)
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for number, start in enumerate(range(0, sound.size, 1024)):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            packets = stream.encode(frame)
            container.mux(packets if number != 10 else [])
        container.mux(stream.encode(None))

    def lag(samples: np.ndarray) -> int:
        """Of what comes after the lost packet."""
        part = sound[20_000:28_000]
        return int(np.argmax([samples[20_000 + k : 28_000 + k] @ part for k in range(-1_200, 1_200)])) - 1_200

    heard = load_audio(path)
    assert lag(heard) == pytest.approx(0, abs=16)  # a millisecond
    assert (np.abs(heard[7_000:13_000]) < 1e-6).sum() >= 512
    assert lag(load_audio(write(tmp_path / "out.mp4", path))) == pytest.approx(0, abs=16)


def test_sound_stamped_slower_than_it_plays_is_one_for_eyes_and_ears(tmp_path: Path) -> None:
    """As where a recorder's clock ran fast: 16,160 samples in each second that the stamps count."""
    rate, given = 16_000, 16_160
    path, clicks = tmp_path / "a.mkv", np.zeros(20 * given, np.float32)
    clicks[18 * given : 18 * given + 160] = tone(0.01, rate, 900)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        for start in range(0, clicks.size, given // 20):
            part = np.ascontiguousarray((clicks[None, start : start + given // 20] * 32_767).astype(np.int16))
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = round(packet.pts * rate / given)
                container.mux(packet)
        for packet in stream.encode(None):
            packet.pts = packet.dts = round(packet.pts * rate / given)
            container.mux(packet)

    def heard_at(samples: np.ndarray) -> int:
        return int(np.flatnonzero(np.abs(samples) > 0.05)[0])

    assert heard_at(load_audio(path)) == pytest.approx(18 * rate, abs=0.02 * rate)
    assert heard_at(load_audio(write(tmp_path / "out.mp4", path))) == pytest.approx(18 * rate, abs=0.02 * rate)


def test_mp3_that_mp4_does_not_take_becomes_aac(tmp_path: Path) -> None:
    given = encode(tmp_path / "call.mp3", "libmp3lame", tone(1.0, 8_000), 8_000)
    out = write(tmp_path / "out.mp4", given)
    assert (probe(out).audio_codec, probe(out).audio_rate) == ("aac", 8_000)
    assert load_audio(out).size == pytest.approx(16_000, abs=2_200)


def test_samples_are_encoded(tmp_path: Path) -> None:
    out = write(tmp_path / "out.mp4", (tone(1.0), 16_000))
    heard = load_audio(out)
    assert heard.size == 16_000
    assert np.corrcoef(heard, tone(1.0))[0, 1] > 0.99


def test_sound_is_beside_its_pictures(tmp_path: Path) -> None:
    """Packets alternate in the file, whose index comes first, so a player need not seek."""
    out = write(tmp_path / "out.mp4", (tone(10.0), 16_000), frames=250)
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(out)) as file:
        packets = [
            (packet.pos, packet.stream.type) for packet in file.demux() if packet.pos is not None and packet.size
        ]
    order = [kind for _, kind in sorted(packets)]
    longest = max(len(run) for run in "".join("v" if kind == "video" else "a" for kind in order).split("v"))
    assert longest <= 40  # of about 156 sound packets


def test_same_bytes_twice(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.mp4", (tone(1.0), 16_000), threads=1) for n in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with VideoWriter(tmp_path / "a.mp4", 64, 64) as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_or_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    silent = write_video(tmp_path / "silent.mp4", numbered(3))
    for path, audio, reason in [
        (tmp_path / "file" / "a.mp4", None, "cannot be written"),
        (tmp_path / "b.mp4", tmp_path / "none.wav", "no such file"),
        (tmp_path / "b.mp4", silent, "no audio stream"),
    ]:
        with pytest.raises(InputError, match=reason), VideoWriter(path, 64, 64, audio=audio):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"file", "silent.mp4"}


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing fails in the middle, and again at the end."""
    program = """
import resource, signal, sys
import numpy as np
from avcat.errors import InputError
from avcat.media.writer import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
rng = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 128, 128) as video:
        for _ in range(100):
            video.write(rng.integers(0, 256, (128, 128, 3), np.uint8))
except InputError as error:
    print(error)
"""
    out = tmp_path / "out.mp4"
    done = subprocess.run([sys.executable, "-c", program, str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: cannot be written (")
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
