"""Files as people have them: what is wrong with each is got over, and noted, or refused; never silently wrong."""

import re
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import soundfile
from drawn import face_picture, number_of, numbered, tone

from avcat.errors import InputError
from avcat.media.audio import audio_blocks, audio_duration, load_audio, mono
from avcat.media.container import Notes
from avcat.media.picture import to_sdr
from avcat.media.reader import FrameReader
from avcat.media.video import decode, decode_at, probe, rising
from avcat.media.writer import VideoWriter


def encode(
    path: Path, images: Iterable[np.ndarray], codec: str = "libx264", form: str | None = None, **options: str
) -> Path:
    """A video by any encoder, with its options, at 25 fps."""
    with av.open(str(path), "w", format=form) as out:
        stream = out.add_stream(codec, rate=25, options=options)
        first, *rest = images
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for image in (first, *rest):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def shown(path: Path, notes: Notes | None = None) -> dict[int, float]:
    """Which of `numbered` are decoded, in order, and when."""
    return {number_of(frame.image): round(frame.time_s, 6) for frame in decode(path, notes=notes)}


def zeroed(path: Path, packet: int, out: Path) -> Path:
    """The file with one packet's bytes zero, except the first ones, which say how long its parts are."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux() if p.size]
        at, size = packets[packet].pos, packets[packet].size
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    out.write_bytes(data)
    return out


# -- Times --


@pytest.mark.parametrize("frames", [3, 40])
def test_avi_with_b_frames_comes_in_order_of_display(tmp_path: Path, frames: int) -> None:
    """AVI has no time stamps of display; those that libav guesses fall."""
    path = encode(tmp_path / "a.avi", numbered(frames), bf="2", g="12")
    assert shown(path) == {n: pytest.approx(n / 25) for n in range(frames)}
    assert [number_of(frame.image) for frame in decode_at(path, start_s=0.08)] == list(range(2, frames))
    reader = FrameReader(path, np.arange(frames) / 25)
    for number in (frames - 1, frames - 2, 0, frames - 2):
        assert number_of(reader[number].image) == number


def times(*stated: float | None) -> list[float]:
    """Those of frames that state such times, in a file that begins at 10 s."""
    frames = [SimpleNamespace(time=None if s is None else 10 + s, time_base=Fraction(1, 1000)) for s in stated]
    return [round(time_s, 6) for time_s, _ in rising(frames, "a.mkv", 10.0, 0.04)]  # type: ignore[arg-type]


def test_times_rise() -> None:
    assert times(0, 0.04, 0.04, 0.12, 0.11, 0.2) == [0, 0.04, 0.041, 0.12, 0.121, 0.2]
    assert times(None, None, None) == [0, 0.04, 0.08]
    with pytest.raises(InputError, match=r"a\.mkv: its clock is set back at 4\.00 s"):
        times(0, 2, 4, 1)


def test_a_file_that_begins_before_a_key_frame_begins_at_it(tmp_path: Path) -> None:
    whole = encode(tmp_path / "a.ts", numbered(50), form="mpegts", g="25", bf="0", preset="ultrafast")
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        second = [p.pos for p in container.demux(video=0) if p.size][8]
    cut = tmp_path / "b.ts"
    cut.write_bytes(data[: 188 * 2] + data[second // 188 * 188 :])  # tables, then from the ninth frame on
    with av.open(str(cut)) as container:
        first = next(p for p in container.demux(video=0))
        assert not first.is_keyframe
    for notes in (None, Notes(cut)):
        numbers = [number_of(frame.image) for frame in decode(cut, notes=notes)]
        assert numbers == list(range(25, 50))
    assert next(decode(cut)).time_s == pytest.approx((25 - 8) / 25, abs=0.05)


# -- Pictures --


def test_damaged_pictures_are_left_out_and_noted(tmp_path: Path) -> None:
    path = zeroed(
        encode(tmp_path / "a.mp4", numbered(40), "libx265", **{"x265-params": "log-level=none:bframes=0"}),
        20,
        tmp_path / "b.mp4",
    )
    with pytest.raises(InputError, match=r"b\.mp4: cannot be read"):
        list(decode(path))
    notes = Notes(path)
    found = shown(path, notes)
    assert set(range(20)) <= set(found)
    assert 20 not in found
    (line,) = notes.lines  # decoders that work on several frames at once report a little late
    assert re.fullmatch(r".*b\.mp4: the picture is damaged at (0\.[89]\d|1\.0\d) s; the last good one stays", line)


def test_too_much_damage_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", numbered(20), "libx265", **{"x265-params": "log-level=none:keyint=1"})
    for n in (3, 7, 12):
        path = zeroed(path, n, tmp_path / f"{n}.mp4")
    with pytest.raises(InputError, match=r"3 of 2\d packets of its picture are damaged"):
        list(decode(path, notes=Notes(path)))


def test_the_film_is_taken_and_not_the_thumbnail_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        small, large = (out.add_stream("mpeg4", rate=25) for _ in range(2))
        small.width, small.height, small.pix_fmt = 32, 32, "yuv420p"
        large.width, large.height, large.pix_fmt = 64, 64, "yuv420p"
        for n, image in enumerate(numbered(12)):
            out.mux(large.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            if n < 2:
                out.mux(small.encode(av.VideoFrame.from_ndarray(image[::2, ::2].copy(), format="rgb24")))
        for stream in (small, large):
            out.mux(stream.encode(None))
    assert (probe(path).width, len(list(decode(path)))) == (64, 12)


def test_tracks_are_chosen_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a#1.mkv"
    with av.open(str(path), "w") as out:
        pictures = [out.add_stream("mpeg4", rate=25) for _ in range(2)]
        sounds = [out.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for stream, side in zip(pictures, (64, 32), strict=True):
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for stream, side in zip(pictures, (64, 32), strict=True):
            for image in numbered(5, side):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(stream.encode(None))
        for stream, hertz in zip(sounds, (300, 700), strict=True):
            samples = (tone(0.5, 16_000, hertz) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate = 16_000
            out.mux(stream.encode(frame))
    both = f"{path}#picture=2#sound=2"
    assert (probe(path).width, probe(both).width, probe(f"{path}#picture=1").width) == (64, 32, 64)
    assert [number_of(frame.image) for frame in decode(both)] == list(range(5))
    assert pitch(load_audio(both), 16_000) == pytest.approx(700, abs=3)
    assert pitch(load_audio(path), 16_000) == pytest.approx(300, abs=3)
    with pytest.raises(InputError, match="no such track, there are 2 of sound"):
        load_audio(f"{path}#sound=3")
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "b.mkv#picture=2")


def combed(frames: int) -> Iterator[np.ndarray]:
    """A bar that moves between the two fields of each frame."""
    for n in range(frames):
        image = np.full((64, 96, 3), 40, np.uint8)
        for field in range(2):
            x = 4 + 2 * (2 * n + field)
            image[field::2, x : x + 12] = 220
        yield image


def comb(image: np.ndarray) -> float:
    """How unlike neighbouring rows are, beside rows two apart."""
    grey = image.mean(2)
    return float(np.abs(np.diff(grey, axis=0)).mean() / (np.abs(grey[2:] - grey[:-2]).mean() + 1))


def test_interlaced_pictures_are_deinterlaced_also_in_between(tmp_path: Path) -> None:
    plain = encode(tmp_path / "p.h264", [face_picture(96, 64)] * 10, form="h264", g="10")
    woven = encode(
        tmp_path / "w.h264", combed(20), form="h264", flags="+ilme+ildct", **{"x264-params": "tff=1"}, g="10"
    )
    (both := tmp_path / "both.h264").write_bytes(plain.read_bytes() + woven.read_bytes())
    raw = list(av.open(str(both)).decode(video=0))
    assert [frame.interlaced_frame for frame in raw] == [False] * 10 + [True] * 20
    notes = Notes(both)
    frames = list(decode(both, notes=notes))
    assert len(frames) == 30
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(30) / 25, atol=1e-6)
    assert notes.lines == [f"{both}: has interlaced pictures, which are deinterlaced"]
    combs = [comb(frame.to_ndarray(format="rgb24")) for frame in raw[12:28]]
    assert max(comb(frame.image) for frame in frames[12:28]) < 0.3 * min(combs)


def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{side}.h264", numbered(5, side), form="h264") for side in (64, 128)]
    (path := tmp_path / "a.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(InputError, match="changes its size from 64 x 64 to 128 x 128"):
        list(decode(path))
    notes = Notes(path)
    assert [number_of(frame.image) for frame in decode(path, notes=notes)] == [*range(5), *range(5)]
    assert notes.lines == [f"{path}: changes its size from 64 x 64 to 128 x 128 at 0.20 s; all is scaled to the first"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_one_picture_is_a_video_of_one_frame(tmp_path: Path, suffix: str) -> None:
    path, picture = tmp_path / f"a.{suffix}", face_picture()
    cv2.imwrite(str(path), picture[:, :, ::-1])
    info = probe(path)
    assert (info.is_still, info.fps, info.duration_s) == (True, 25, 0.04)
    (frame,) = decode(path)
    assert np.abs(frame.image.astype(int) - picture).mean() < 3


def test_an_animation_is_a_film(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("gif", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb8"
        for image in numbered(6):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="rgb8")))
        out.mux(stream.encode(None))
    assert not probe(path).is_still
    assert shown(path) == {n: pytest.approx(n / 10) for n in range(6)}


def test_hdr_becomes_sdr_by_the_standards_numbers() -> None:
    """PQ (ST 2084): code 0.5081 is 100 cd/m2, 0.5806 is 203, SDR's white; HLG (BT.2100): 0.75 is 203 on its display."""

    def grey(code: float, transfer: str) -> int:
        pixel = to_sdr(np.full((1, 1, 3), round(code * 65535), np.uint16), transfer)[0, 0].astype(int)
        assert np.ptp(pixel) <= 1, "grey stays grey"
        return int(pixel[0])

    def sdr(light: float) -> float:
        """A display of gamma 2.4; above 0.75 of white compressed."""
        return 255 * (min(light, 0.75) + 0.25 * (1 - np.exp(-max(0, light - 0.75) / 0.25))) ** (1 / 2.4)

    assert grey(0.0, "PQ") == grey(0.0, "HLG") == 0
    assert grey(0.5081, "PQ") == pytest.approx(sdr(100 / 203), abs=1)
    assert grey(0.5806, "PQ") == grey(0.75, "HLG") == pytest.approx(sdr(1.0), abs=1)
    assert grey(1.0, "PQ") == grey(1.0, "HLG") == 255
    red = to_sdr(np.array([[[40000, 0, 0]]], np.uint16), "PQ")[0, 0]
    assert red[0] > 200
    assert red[1] == red[2] == 0, "what BT.709 cannot show is cut"


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_an_hdr_film_is_decoded_in_sdr(tmp_path: Path, transfer: int, name: str) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=none", "crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        code = 0.5806 if name == "PQ" else 0.75
        luma, chroma = np.full((64, 64), round(64 + 876 * code), np.uint16), np.full((32, 64), 512, np.uint16)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.concatenate((luma, chroma)), format="yuv420p10le")
            frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = transfer, 9, 9, 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    info = probe(path)
    assert (info.hdr, tuple(info.colour)) == (name, (1, 1, 1))
    image = next(decode(path)).image
    assert image.mean() == pytest.approx(245, abs=2)


# -- Sound --


def mp3(path: Path, samples: np.ndarray, rate: int, layout: str) -> bytes:
    """Without the header that states the length, so that files can be joined."""
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as out:
        stream = out.add_stream("libmp3lame", rate=rate, layout=layout)
        block = np.broadcast_to(samples, (stream.layout.nb_channels, samples.size)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def pitch(samples: np.ndarray, rate: int) -> float:
    """The loudest frequency, in Hz."""
    return float(np.abs(np.fft.rfft(samples * np.hanning(samples.size))).argmax() * rate / samples.size)


def test_a_rate_that_changes_changes_neither_length_nor_pitch(tmp_path: Path) -> None:
    first = mp3(tmp_path / "1.mp3", tone(2.0, 24_000, 300), 24_000, "mono")
    second = mp3(tmp_path / "2.mp3", tone(2.0, 44_100, 700), 44_100, "stereo")
    (path := tmp_path / "a.mp3").write_bytes(first + second)
    rates = {(rate, block.shape[0]) for rate, block in audio_blocks(path)}
    assert len(rates) == 1, "one rate and number of channels come out"
    assert audio_duration(path) == pytest.approx(4.0, abs=0.15)
    samples = load_audio(path)
    assert pitch(samples[4000:28_000], 16_000) == pytest.approx(300, abs=2)
    assert pitch(samples[36_000:60_000], 16_000) == pytest.approx(700, abs=2)


def test_damaged_sound_is_silence_as_long_as_it_lasted(tmp_path: Path) -> None:
    data = bytearray(mp3(tmp_path / "1.mp3", tone(4.0, 44_100), 44_100, "mono"))
    with av.open(str(tmp_path / "1.mp3")) as container:
        at = [packet.pos for packet in container.demux() if packet.size]
    for packet in range(60, 63):  # the headers stay, so that these are packets
        data[at[packet] + 4 : at[packet + 1]] = np.random.default_rng(packet).bytes(at[packet + 1] - at[packet] - 4)
    (path := tmp_path / "a.mp3").write_bytes(data)
    whole = load_audio(tmp_path / "1.mp3")
    notes = Notes(path)
    blocks = [block for _, block in audio_blocks(path, notes=notes)]
    assert sum(block.shape[1] for block in blocks) / 44_100 == pytest.approx(whole.size / 16_000, abs=0.03)
    (line,) = notes.lines
    assert "the sound is damaged at 1.5" in line
    assert line.endswith("silence instead")


def test_channels_that_cancel_each_other_out_are_heard(tmp_path: Path) -> None:
    left = tone(1.0)
    soundfile.write(tmp_path / "a.wav", np.stack((left, -0.9 * left), 1), 16_000)
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), left, atol=1e-3)
    both = np.stack((left, 0.5 * left))
    np.testing.assert_allclose(mono(both), 0.75 * left, atol=1e-6)
    assert not mono(np.zeros((2, 100), np.float32)).any()


def written(path: Path, sound: Path) -> av.audio.stream.AudioStream:
    with VideoWriter(path, 64, 64, audio=sound) as writer:
        for image in numbered(25):
            writer.write(image)
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.name, container.streams.audio[0].layout.name


def test_sounds_that_players_could_not_follow_are_encoded_anew(tmp_path: Path) -> None:
    mp3(tmp_path / "1.mp3", tone(1.0, 44_100), 44_100, "mono")
    assert written(tmp_path / "1.mp4", tmp_path / "1.mp3")[0].startswith("mp3")
    second = mp3(tmp_path / "2.mp3", tone(1.0, 24_000), 24_000, "mono")
    (joined := tmp_path / "j.mp3").write_bytes((tmp_path / "1.mp3").read_bytes() + second)
    assert written(tmp_path / "j.mp4", joined)[0] == "aac"


def test_an_edit_list_that_cuts_the_middle_out_is_followed(tmp_path: Path) -> None:
    """Two edits: seconds 0 to 1, and 2 to 3, of a sound of three."""
    rate = 44_100
    samples = np.concatenate([tone(1.0, rate, hertz) for hertz in (300, 500, 700)])
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4", options={"movie_timescale": str(rate)}) as out:
        stream = out.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    path.write_bytes(with_edits(path.read_bytes(), [(rate, 1024), (rate, 1024 + 2 * rate)]))
    heard = load_audio(path)
    assert heard.size == pytest.approx(2 * 16_000, abs=1600)
    assert pitch(heard[2000:14_000], 16_000) == pytest.approx(300, abs=3)
    assert pitch(heard[19_000:30_000], 16_000) == pytest.approx(700, abs=3)
    assert written(tmp_path / "o.mp4", path)[0] == "aac"
    assert audio_duration(tmp_path / "o.mp4") == pytest.approx(heard.size / 16_000, abs=0.05)


def with_edits(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    """An MP4 whose index comes last, with its one edit list replaced: (duration, start) each, in samples."""
    at = data.index(b"elst") - 4
    old = struct.unpack(">I", data[at : at + 4])[0]
    body = b"elst" + bytes(4) + struct.pack(">I", len(edits))
    body += b"".join(struct.pack(">IiI", length, start, 1 << 16) for length, start in edits)
    box = struct.pack(">I", len(body) + 4) + body
    grown = bytearray(data[:at] + box + data[at + old :])
    for name in (b"moov", b"trak", b"edts"):
        place = grown.index(name) - 4
        grown[place : place + 4] = struct.pack(">I", struct.unpack(">I", grown[place : place + 4])[0] + len(box) - old)
    return bytes(grown)


def test_four_channels_stay_four(tmp_path: Path) -> None:
    sound = tmp_path / "quad.wav"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="quad")
        block = np.stack([tone(1.0, 16_000, 300 + 100 * n) for n in range(4)], 1)
        frame = av.AudioFrame.from_ndarray((block * 32767).astype(np.int16).reshape(1, -1), format="s16", layout="quad")
        frame.sample_rate = 16_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert written(tmp_path / "o.mp4", sound) == ("aac", "quad")
    blocks = np.concatenate([block for _, block in audio_blocks(tmp_path / "o.mp4")], 1)
    assert [pitch(row[2000:14_000], 16_000) for row in blocks] == pytest.approx([300, 400, 500, 600], abs=4)
