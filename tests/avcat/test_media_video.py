"""Probing, decoding, and the even grid, on files with numbered frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from drawn import TICKS_90K, number_of, numbered, tone, write_video

from avcat.errors import InputError
from avcat.media.audio import load_audio
from avcat.media.video import decode, decode_at, nearest, probe

UNEVEN = [0, 3000, 9000, 9900, 15_000, 27_000, 27_900, 33_000, 36_000]  # 90 kHz ticks; the last is the end


def test_probe(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(30), fps=Fraction(30_000, 1001), audio=(tone(0.7), 16_000))
    info = probe(path)
    assert (info.width, info.height, info.frames, info.rotation) == (64, 64, 30, 0)
    assert info.fps == Fraction(30_000, 1001)
    assert info.duration_s == pytest.approx(30 * 1001 / 30_000, abs=1e-4)
    assert (info.codec, info.has_audio, info.audio_codec, info.audio_rate) == ("h264", True, "aac", 16_000)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "text.txt").write_text("no video " * 100)
    soundfile.write(tmp_path / "sound.wav", tone(0.2), 16_000)
    for name, reason in [
        ("none.mp4", "no such file"),
        ("empty.mp4", "empty"),
        ("noise.mp4", "cannot be read"),
        ("text.txt", "not a video|cannot be read"),
        ("sound.wav", "no video stream"),
    ]:
        with pytest.raises(InputError, match=reason) as error:
            probe(tmp_path / name)
        assert name in str(error.value)


def test_a_video_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(100))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(InputError, match=r"a\.mp4"):
        list(decode(path))


def test_decode_in_order_with_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(8), UNEVEN, time_base=TICKS_90K)
    frames = list(decode(path))
    assert [frame.index for frame in frames] == list(range(8))
    assert [number_of(frame.image) for frame in frames] == list(range(8))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(UNEVEN[:-1]) / 90_000, atol=2e-5)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".h264"])
def test_a_time_range_starts_anywhere(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    remux(write_video(tmp_path / "b.mp4", numbered(200), preset="medium"), path)
    times = [frame.time_s for frame in decode(path)]
    assert len(times) == 200
    for start, stop in [(0, 3), (1, 2), (77, 90), (150, 200), (199, 200)]:
        end_s = times[stop] if stop < 200 else None
        part = list(decode(path, times[start], end_s))
        assert [number_of(frame.image) for frame in part] == list(range(start, stop))
        assert [frame.time_s for frame in part] == times[start:stop]


def remux(source: Path, target: Path) -> None:
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)


def test_the_grid_takes_the_nearest_frame_and_does_not_drift(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(8), UNEVEN, time_base=TICKS_90K, fps=20)
    times = np.array(UNEVEN[:-1]) / 90_000
    grid = list(decode_at(path, fps=25))
    assert [frame.index for frame in grid] == list(range(len(grid)))
    for frame in grid:
        wanted = int(np.abs(times - frame.index / 25).argmin())
        assert number_of(frame.image) == wanted
        assert frame.pts_s == pytest.approx(times[wanted], abs=2e-5)


@pytest.mark.parametrize(("rate", "frames"), [(24, 48), (25, 50), (30, 60), (60, 120), (12, 24)])
def test_two_seconds_are_fifty_grid_frames_at_any_rate(tmp_path: Path, rate: int, frames: int) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(frames), fps=rate)
    grid = list(decode_at(path))
    assert len(grid) == 50
    while_it_lasts = [frame for frame in grid if frame.index / 25 <= (frames - 1) / rate]
    assert max(abs(frame.pts_s - frame.index / 25) for frame in while_it_lasts) <= 0.5 / rate + 1e-4


def test_the_grid_of_a_time_range() -> None:
    timed = [(n / 30, n) for n in range(60)]
    whole = list(nearest(timed, 25, 0.0, None, 1 / 30))
    part = list(nearest(timed, 25, 0.4, 1.2, 1 / 30))
    assert len(whole) == 50
    assert [(index + 10, time_s, n) for index, time_s, n in part] == whole[10:30]
    assert [n for _, _, n in nearest([(0.0, 0), (0.04, 1)], 50, 0.0, None, 0.04)] == [0, 0, 1, 1]  # a tie: the earlier


def test_a_hole_in_the_video_is_filled_with_the_nearest() -> None:
    timed = [(0.0, 0), (0.04, 1), (1.0, 2)]
    taken = [n for _, _, n in nearest(timed, 25, 0.0, None, 0.04)]
    assert taken == [0] + [1] * 13 + [2] * 12  # the middle of 0.04 and 1.0 is 0.52: 13 * 0.04


def test_a_turned_video_is_read_upright(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = (255, 0, 0)  # red at the top left
    path = write_video(tmp_path / "a.mp4", iter([image] * 3))
    for matrix, rotation, corner in [
        ((0, 1, -1, 0), 270, (0, -1)),  # a quarter to the right puts the top left corner at the top right
        ((-1, 0, 0, -1), 180, (-1, -1)),
        ((0, -1, 1, 0), 90, (-1, 0)),
    ]:
        turned = tmp_path / f"{rotation}.mp4"
        turned.write_bytes(with_matrix(path.read_bytes(), matrix))
        info = probe(turned)
        assert info.rotation == rotation
        assert (info.width, info.height) == ((64, 48) if rotation == 180 else (48, 64))
        frame = next(decode(turned)).image
        assert frame.shape == (info.height, info.width, 3)
        red = frame[corner[0] * 4 + (2 if corner[0] == 0 else 0), corner[1] * 4 + (2 if corner[1] == 0 else 0)]
        assert red[0] > 150
        assert red[1] < 80


def test_a_mirrored_video_is_read_as_it_is_shown(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = (255, 0, 0)  # red at the top left
    path = write_video(tmp_path / "a.mp4", iter([image] * 3))
    for matrix, corner in [
        ((-1, 0, 0, 1), (0, -1)),  # left and right
        ((1, 0, 0, -1), (-1, 0)),  # top and bottom
        ((0, 1, 1, 0), (0, 0)),  # rows and columns
        ((0, -1, -1, 0), (-1, -1)),
    ]:
        mirrored = tmp_path / "mirrored.mp4"
        mirrored.write_bytes(with_matrix(path.read_bytes(), matrix))
        frame = next(decode(mirrored)).image
        assert frame.shape == ((48, 64, 3) if matrix[0] else (64, 48, 3))
        halves = [np.split(frame, 2, axis=axis)[at].mean(axis=(0, 1))[0] for axis, at in enumerate(corner)]
        assert min(halves) > 80, (matrix, halves)


def test_a_turn_turns_pixels_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(3), pixel_aspect=Fraction(4, 3))
    path.write_bytes(with_matrix(path.read_bytes(), (0, 1, -1, 0)))
    assert (probe(path).rotation, probe(path).pixel_aspect) == (270, Fraction(3, 4))


def test_a_picture_that_ends_before_its_sound_ends_there(tmp_path: Path) -> None:
    """Matroska states the length of the longer one for both."""
    path = tmp_path / "a.mkv"
    remux(write_video(tmp_path / "b.mp4", numbered(30), audio=(tone(3.0), 16_000)), path)
    assert probe(path).duration_s == pytest.approx(1.2, abs=0.05)


def test_a_playlist_is_no_video(tmp_path: Path) -> None:
    """It would read files that the user did not give."""
    remux(write_video(tmp_path / "b.mp4", numbered(30), audio=(tone(1.2), 16_000)), tmp_path / "b.ts")
    lists = {
        "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nb.ts\n#EXT-X-ENDLIST\n",
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path / 'b.ts'}\n#EXT-X-ENDLIST\n",
        "list.mp4": "ffconcat version 1.0\nfile b.mp4\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        for read in (probe, load_audio):
            with pytest.raises(InputError, match=rf"{name}: (a playlist|cannot be read)"):
                read(tmp_path / name)


def test_what_is_coded_as_rgb_is_written_as_what_it_is_not_called(tmp_path: Path) -> None:
    """The matrix number of RGB is none that a picture of light and colour may have."""
    path = tmp_path / "rgb.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        for image in numbered(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.colorspace == 0
    assert probe(path).colour.matrix == 1


def test_a_recording_that_states_no_length_has_one(tmp_path: Path) -> None:
    """As browsers write them."""
    path = tmp_path / "live.webm"
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for image in numbered(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration_s == pytest.approx(1.2, abs=0.05)


def with_matrix(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """An MP4 with the turning matrix of its track header replaced."""
    a, b, c, d = (value.to_bytes(2, "big", signed=True) + bytes(2) for value in matrix)
    one = (1 << 30).to_bytes(4, "big")
    at = data.index(b"tkhd") + 4 + 40
    return data[:at] + a + b + bytes(4) + c + d + bytes(4) + bytes(8) + one + data[at + 36 :]


def test_a_video_that_changes_its_size_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h264"
    parts = []
    for width in (64, 96):
        part = tmp_path / f"{width}.h264"
        with av.open(str(part), "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, 64, "yuv420p"
            for _ in range(3):
                frame = av.VideoFrame.from_ndarray(np.full((64, width, 3), 90, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    with pytest.raises(InputError, match=r"a\.h264: changes its size from 64 x 64 to 96 x 64"):
        list(decode(path))
