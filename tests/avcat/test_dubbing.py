"""Dubbing end to end on a drawn head, with a model that paints."""

import itertools
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
from drawn import MEL, TICKS_90K, face_picture, talking, tone, write_video
from painter import Keeper, Painter, dub_with, images_of, painted

from avcat.dubbing import Dubber, DubSettings, Mix
from avcat.dubbing.portrait import Which
from avcat.errors import InputError
from avcat.face.landmarks import Face, MediaPipeDetector
from avcat.media.audio import audio_duration, load_audio
from avcat.media.mel import mel_spectrogram, mel_windows
from avcat.media.video import decode, probe


@pytest.fixture(scope="module")
def detector() -> MediaPipeDetector:
    return MediaPipeDetector()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("dub") / "talk.mp4", talking(25), fps=25)


def speech(path: Path, seconds: float) -> Path:
    soundfile.write(path, tone(seconds, 16_000) * np.linspace(0, 1, round(16_000 * seconds)), 16_000)
    return path


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.73])
def test_size_rate_and_length(tmp_path: Path, video: Path, detector: MediaPipeDetector, seconds: float) -> None:
    audio = speech(tmp_path / "a.flac", seconds)
    out = dub_with(Painter(), detector, video, audio, tmp_path / "out.mp4")
    info = probe(out)
    assert (info.width, info.height) == (320, 320)
    assert info.duration_s == pytest.approx(seconds, abs=1e-3)
    times = [frame.time_s for frame in decode(out)]
    np.testing.assert_allclose(times, np.arange(len(times)) / 25, atol=1e-4)
    assert len(times) == int(np.ceil(seconds * 25))
    np.testing.assert_array_equal(load_audio(out), load_audio(audio))
    assert list(tmp_path.glob(".*")) == []


def test_the_mouth_is_painted_and_the_rest_is_as_it_was(
    tmp_path: Path, video: Path, detector: MediaPipeDetector
) -> None:
    out = dub_with(Painter(), detector, video, speech(tmp_path / "a.wav", 1.0), tmp_path / "out.mp4")
    for source, image in zip(images_of(video), images_of(out), strict=True):
        paint = painted(image)
        ys, xs = np.nonzero(paint)
        assert paint[193, 150:170].all()  # the mouth of a face of 100 px at (160, 160)
        assert abs(xs.mean() - 160) < 10
        assert ys.min() > 155  # below the eyes and most of the nose
        far = np.ones_like(paint)
        far[ys.min() - 25 :, xs.min() - 25 : xs.max() + 25] = False
        error = np.square(image[far].astype(float) - source[far]).mean()
        assert 10 * np.log10(255**2 / error) > 38


def test_the_paint_moves_with_the_head_and_does_not_shake(
    tmp_path: Path, video: Path, detector: MediaPipeDetector
) -> None:
    frames = list(Dubber(Painter(), detector).frames(video, speech(tmp_path / "a.wav", 1.0)))
    centres = np.array([np.argwhere(painted(frame.image)).mean(axis=0) for frame in frames])
    head = 160 + 6 * np.sin(np.arange(25) / 6)
    offset = centres[:, 1] - head
    assert offset.std() < 0.6
    assert np.diff(offset, 2).std() < 0.8
    assert centres[:, 0].std() < 0.6


def test_a_kept_crop_leaves_the_picture_as_it_was(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    frames = list(Dubber(Keeper(crop_size=256), detector).frames(video, speech(tmp_path / "a.wav", 0.4)))
    for source, frame in zip(images_of(video)[:10], frames, strict=True):
        assert frame.redrawn
        assert np.square(frame.image.astype(float) - source).mean() < 6


def test_each_frame_hears_the_sound_at_its_own_time(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    audio, painter = speech(tmp_path / "a.wav", 1.6), Painter()
    dub_with(painter, detector, video, audio, tmp_path / "out.mp4")
    mel = mel_spectrogram(load_audio(audio), MEL)
    np.testing.assert_allclose(painter.windows, mel_windows(mel, np.arange(40)), atol=1e-5)
    assert len(painter.references) == 1
    np.testing.assert_array_equal(painter.crops[25], painter.crops[23])  # forth and back: 24 is not shown twice


def test_threads_that_redraw_at_once_change_nothing(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    class Two(Painter):
        workers = 2

        def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: int | None) -> np.ndarray:
            together.wait()  # passed by two at once only: there are eight batches
            return super().redraw(crops, mel_windows, reference)

    together, audio = threading.Barrier(2, timeout=10), speech(tmp_path / "a.wav", 0.96)
    one, two = (list(Dubber(kind(batch_frames=3), detector).frames(video, audio)) for kind in (Painter, Two))
    assert len(one) == 24
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.image, b.image)


def test_an_uneven_frame_rate_is_kept(tmp_path: Path, detector: MediaPipeDetector) -> None:
    steps = np.tile([3000, 6000, 3000, 4500], 6)
    pts = [2700, *(2700 + np.cumsum(steps)).tolist()]
    video = write_video(tmp_path / "v.mp4", talking(24), pts, time_base=TICKS_90K, fps=22, audio=(tone(1.1), 16_000))
    painter = Painter()
    out = dub_with(painter, detector, video, speech(tmp_path / "a.wav", 2.0), tmp_path / "out.mp4")
    times = np.array([frame.time_s for frame in decode(out)]) * 90_000
    back = np.concatenate([steps[-2:0:-1], steps])
    wanted = np.concatenate([pts[:24], pts[24] + np.concatenate([[0], np.cumsum(back)])])
    np.testing.assert_allclose(times, wanted[: times.size], atol=2)
    assert probe(out).time_base == TICKS_90K
    assert probe(out).duration_s == pytest.approx(2.0, abs=1e-3)
    mel = mel_spectrogram(load_audio(tmp_path / "a.wav"), MEL)
    first = np.rint(((wanted[3] + wanted[4]) / 2 - 1800) / 900).astype(int) - 8  # the middle, less 0.02 s
    np.testing.assert_allclose(painter.windows[3], np.pad(mel, ((0, 0), (8, 0)))[:, first + 8 : first + 28], atol=1e-5)


def test_frames_without_a_face_pass_through(tmp_path: Path, detector: MediaPipeDetector) -> None:
    blank = np.full((320, 320, 3), (90, 110, 60), np.uint8)
    pictures = [blank, blank, *itertools.repeat(face_picture(), 6), blank, blank, blank, *[face_picture()] * 4]
    video = write_video(tmp_path / "v.mp4", iter(pictures))
    painter = Painter()
    frames = list(Dubber(painter, detector).frames(video, speech(tmp_path / "a.wav", 15 / 25)))
    assert [frame.redrawn for frame in frames] == [False] * 2 + [True] * 6 + [False] * 3 + [True] * 4
    for source, frame in zip(images_of(video), frames, strict=True):
        assert painted(frame.image).any() == frame.redrawn
        if not frame.redrawn:
            np.testing.assert_array_equal(frame.image, source)
    assert len(painter.crops) == 10
    summary = Dubber(Painter(), detector).dub(video, tmp_path / "a.wav", tmp_path / "out.mp4")
    assert (summary.frames, summary.redrawn) == (15, 10)


def test_the_reference_can_be_chosen(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    painter = Painter()
    audio = speech(tmp_path / "a.wav", 1.0)
    for number, (reference, crop) in enumerate(((0.37, 9), ("first", 0))):
        list(Dubber(painter, detector).frames(video, audio, DubSettings(reference=reference)))  # type: ignore[arg-type]
        np.testing.assert_array_equal(painter.references[number], painter.crops[25 * number + crop])
    alone = Painter()
    list(Dubber(alone, detector).frames(video, audio, DubSettings(reference="same")))
    assert not alone.references
    with pytest.raises(InputError, match=r"no reference at 0\.9 s, as it is shown for 0\.20 s"):
        Dubber(painter, detector).frames(video, speech(tmp_path / "short.wav", 0.2), DubSettings(reference=0.9))
    assert len(alone.crops) == 25


def test_the_reference_is_the_frame_of_the_most_usual_mouth(tmp_path: Path, detector: MediaPipeDetector) -> None:
    openings = [0.5, 0.4, 0.1, 0.1, 0.12, 0.1, 0.3, 0.1]
    video = write_video(tmp_path / "v.mp4", (face_picture(opening=opening) for opening in openings))
    painter = Painter()
    list(Dubber(painter, detector).frames(video, speech(tmp_path / "a.wav", 0.32)))
    (same,) = (n for n, crop in enumerate(painter.crops) if np.array_equal(crop, painter.references[0]))
    assert openings[same] == pytest.approx(0.1, abs=0.03)


def test_freeze_and_error(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    audio, painter = speech(tmp_path / "a.wav", 1.4), Painter()
    frames = list(Dubber(painter, detector).frames(video, audio, DubSettings(fit="freeze")))
    assert len(frames) == 35
    np.testing.assert_array_equal(painter.crops[24], painter.crops[34])
    with pytest.raises(InputError, match="shorter than the sound"):
        Dubber(Painter(), detector).frames(video, audio, DubSettings(fit="error"))


def test_progress_counts_every_frame(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    seen: list[tuple[str, int, int]] = []
    dub_with(
        Painter(), detector, video, speech(tmp_path / "a.wav", 1.2), tmp_path / "out.mp4",
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert seen[:25] == [("find faces", n, 25) for n in range(1, 26)]
    assert seen[25:] == [("redraw", n, 30) for n in range(1, 31)]


def test_bad_inputs_are_told_and_leave_nothing(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    blank = write_video(tmp_path / "blank.mp4", itertools.repeat(np.full((64, 64, 3), 90, np.uint8), 5))
    audio = speech(tmp_path / "a.wav", 0.3)
    before = set(tmp_path.iterdir())
    for picture, sound, reason in [
        (blank, audio, r"blank\.mp4: no face in any of its 5 frames"),
        (audio, audio, r"a\.wav: no video stream"),
        (video, blank, r"blank\.mp4: no audio stream"),
        (video, tmp_path / "none.wav", "no such file"),
    ]:
        with pytest.raises(InputError, match=reason):
            dub_with(Painter(), detector, picture, sound, tmp_path / "out.mp4")
    assert set(tmp_path.iterdir()) == before


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    class Broken(Painter):
        def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: int | None) -> np.ndarray:
            if len(self.crops) > 8:
                raise RuntimeError("boom")
            return super().redraw(crops, mel_windows, reference)

    audio = speech(tmp_path / "a.wav", 1.0)
    with pytest.raises(RuntimeError, match="boom"):
        dub_with(Broken(), detector, video, audio, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == [audio]


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path: Path, detector: MediaPipeDetector) -> None:
    rate = Fraction(30_000, 1001)
    video = write_video(tmp_path / "v.mp4", talking(20), fps=rate)
    out = dub_with(Painter(), detector, video, speech(tmp_path / "a.wav", 1.0), tmp_path / "out.mp4")
    times = np.array([frame.time_s for frame in decode(out)])
    np.testing.assert_allclose(times, np.arange(30) / float(rate), atol=1e-4)


def test_each_of_two_faces_has_its_own_sound(tmp_path: Path) -> None:
    left, right = (face_picture() for _ in range(2))
    video = write_video(tmp_path / "duo.mp4", itertools.repeat(np.hstack([left, right]), 12))
    both = speech(tmp_path / "both.wav", 12 / 25)
    voices: dict[Which, Path] = {1: speech(tmp_path / "left.wav", 12 / 25), -1: tmp_path / "right.wav"}
    soundfile.write(tmp_path / "right.wav", tone(12 / 25, 16_000, 2000), 16_000)
    painter = Painter(batch_frames=12)
    frames = list(Dubber(painter, MediaPipeDetector(max_faces=2)).frames(video, both, DubSettings(voices=voices)))
    assert all(painted(frame.image)[:, half].any() for frame in frames for half in (slice(0, 320), slice(320, 640)))
    wanted = [mel_spectrogram(load_audio(path), MEL) for path in (tmp_path / "left.wav", tmp_path / "right.wav")]
    for heard, mel in zip((painter.windows[:12], painter.windows[12:]), wanted, strict=True):
        np.testing.assert_allclose(heard, mel_windows(mel, np.arange(12)), atol=1e-5)
    assert len(painter.references) == 2


def test_a_face_with_two_sounds_has_the_first_and_one_with_none_is_told(
    tmp_path: Path, video: Path, detector: MediaPipeDetector
) -> None:
    """In a close-up of a dialogue the one face is both the first from the left and from the right."""
    soundfile.write(tmp_path / "right.wav", tone(0.4, 16_000, 2000), 16_000)
    voices: dict[Which, Path] = {1: speech(tmp_path / "left.wav", 0.4), -1: tmp_path / "right.wav"}
    painter, out = Painter(), tmp_path / "out.mp4"
    summary = Dubber(painter, detector).dub(video, tmp_path / "left.wav", out, DubSettings(voices=voices))
    assert summary.people == 1
    assert len(painter.crops) == summary.frames == 10
    left = mel_spectrogram(load_audio(tmp_path / "left.wav"), MEL)
    np.testing.assert_allclose(painter.windows, mel_windows(left, np.arange(10)), atol=1e-5)
    (warning,) = summary.warnings
    assert warning.startswith("from 0.00 to 0.36 s one face is both left and right")
    for which, name in ((3, "number 3"), (-2, "number -2")):
        with pytest.raises(InputError, match=f"no face that is {name} in any of its 10 frames"):
            Dubber(painter, detector).frames(
                video, tmp_path / "left.wav", DubSettings(voices={1: tmp_path / "left.wav", which: voices[-1]})
            )


@pytest.mark.parametrize("rate", [10, 25, 60])
def test_a_frame_hears_the_sound_around_its_middle(tmp_path: Path, detector: MediaPipeDetector, rate: int) -> None:
    video = write_video(tmp_path / "v.mp4", talking(rate), fps=rate)
    audio, painter = speech(tmp_path / "a.wav", 1.0), Painter()
    list(Dubber(painter, detector).frames(video, audio))
    mel = np.pad(mel_spectrogram(load_audio(audio), MEL), ((0, 0), (16, 16)))
    for t in (0, rate // 2):
        middle = round(100 * (t + 0.5) / rate - 2) + 16  # of the 20 columns it is the eleventh that begins there
        np.testing.assert_allclose(painter.windows[t], mel[:, middle - 8 : middle + 12], atol=1e-5)


def test_at_a_cut_the_person_is_new(tmp_path: Path, detector: MediaPipeDetector) -> None:
    """Without it the crop would glide from one place to the other."""
    shots = [face_picture(), np.roll(face_picture()[:, :, ::-1], 40, axis=1)]
    video = write_video(tmp_path / "v.mp4", (shots[t // 8] for t in range(16)))
    painter = Painter()
    frames = list(Dubber(painter, detector).frames(video, speech(tmp_path / "a.wav", 16 / 25)))
    assert len(painter.references) == 2
    centres = [np.argwhere(painted(frame.image)).mean(axis=0)[1] for frame in frames if frame.redrawn]
    assert all(abs(x - 160) < 12 or abs(x - 200) < 12 for x in centres), "not on the way from one to the other"


def test_mouths_may_move_later_than_the_sound(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    audio, painter = speech(tmp_path / "a.wav", 1.0), Painter()
    list(Dubber(painter, detector).frames(video, audio, DubSettings(offset_s=0.12)))
    mel = mel_spectrogram(load_audio(audio), MEL)
    np.testing.assert_allclose(painter.windows, mel_windows(mel, np.arange(25) - 3), atol=1e-5)


@pytest.mark.parametrize(("pix_fmt", "codec", "suffix"), [("yuva420p", "libvpx-vp9", "webm"), ("rgba", "png", "mov")])
def test_what_would_come_out_wrong_is_refused(
    tmp_path: Path,
    detector: MediaPipeDetector,
    pix_fmt: str,
    codec: str,
    suffix: str,
) -> None:
    video = tmp_path / f"v.{suffix}"
    with av.open(str(video), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 320, pix_fmt
        for image in talking(4):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="has an alpha channel"):
        Dubber(Painter(), detector).frames(video, speech(tmp_path / "a.wav", 0.2))


def test_a_tag_of_alpha_alone_refuses_nothing(tmp_path: Path, detector: MediaPipeDetector) -> None:
    """Chromium writes it into all recordings, though no packet has an alpha channel."""
    video = tmp_path / "recorded.webm"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        stream.metadata["alpha_mode"] = "1"
        for image in talking(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    frames = list(Dubber(Painter(), detector).frames(video, speech(tmp_path / "a.wav", 0.16)))
    assert [frame.redrawn for frame in frames] == [True] * 4


def test_a_frame_lasts_until_the_next_comes_or_as_long_as_it_says(tmp_path: Path, detector: MediaPipeDetector) -> None:
    """Of a screen recording, in which nothing moved for seconds."""
    pts = [0, 100, 200, 300, 2300, 2400, 4400]
    video = write_video(tmp_path / "v.mp4", iter([face_picture()] * 6), pts, time_base=Fraction(1, 1000))
    for seconds, shown in ((1.5, [0, 100, 200, 300]), (4.4, pts[:-1])):
        summary = Dubber(Painter(), detector).dub(
            video, speech(tmp_path / "a.wav", seconds), tmp_path / "out.mp4", DubSettings(fit="error")
        )
        assert summary.warnings == ()
        assert summary.duration_s == pytest.approx(seconds, abs=2e-3)
        times = [frame.time_s for frame in decode(tmp_path / "out.mp4")]
        np.testing.assert_allclose(times, np.array(shown) / 1000, atol=2e-3)


def test_a_video_that_is_cut_off_is_told(tmp_path: Path, detector: MediaPipeDetector) -> None:
    """As by a download that stopped: the file still states how long it was."""
    noisy = (np.clip(image + np.random.default_rng(1).normal(0, 9, image.shape), 0, 255) for image in talking(75))
    whole = write_video(tmp_path / "v.mp4", (image.astype(np.uint8) for image in noisy))
    part = tmp_path / "part.mp4"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    assert probe(part).duration_s == pytest.approx(3.0, abs=0.05)
    out = tmp_path / "out.mp4"
    summary = Dubber(Painter(), detector).dub(part, speech(tmp_path / "a.wav", 2.5), out)
    *_, warning = summary.warnings  # its last packet is damaged, too
    assert warning.startswith("the video is cut off: it ends at ")
    assert warning.endswith(" s instead of 3.00 s")


def test_ten_bits_become_eight(tmp_path: Path, detector: MediaPipeDetector) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p10le"
        for image in talking(5):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p10le"))
            )
        container.mux(stream.encode(None))
    out = dub_with(Keeper(256), detector, tmp_path / "v.mp4", speech(tmp_path / "a.wav", 0.2), tmp_path / "out.mp4")
    for source, image in zip(talking(5), images_of(out), strict=True):
        assert np.abs(image.astype(int) - source).mean() < 6


def test_one_picture_is_dubbed_for_as_long_as_the_sound(tmp_path: Path, detector: MediaPipeDetector) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), face_picture()[:, :, ::-1])
    summary = Dubber(Painter(), detector).dub(
        tmp_path / "still.png", speech(tmp_path / "a.wav", 1.0), tmp_path / "o.mp4", DubSettings(fit="error")
    )
    assert (summary.frames, summary.redrawn, summary.warnings) == (25, 25, ())


@pytest.mark.parametrize(("sound_s", "frames", "redrawn"), [(0.4, 25, 10), (2.0, 25, 25)])
def test_a_result_as_long_as_the_video(
    tmp_path: Path, video: Path, detector: MediaPipeDetector, sound_s: float, frames: int, redrawn: int
) -> None:
    """After the sound's end the source's frames; a longer sound is cut."""
    out = tmp_path / "o.mp4"
    summary = Dubber(Painter(), detector).dub(
        video, speech(tmp_path / "a.wav", sound_s), out, DubSettings(length="video")
    )
    assert (summary.frames, summary.redrawn, summary.duration_s) == (frames, redrawn, 1.0)
    assert audio_duration(out) == pytest.approx(min(sound_s, 1.0), abs=0.07)
    assert [painted(image).any() for image in images_of(out)] == [True] * redrawn + [False] * (frames - redrawn)


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_other_containers(tmp_path: Path, video: Path, detector: MediaPipeDetector, suffix: str) -> None:
    out, sound = tmp_path / f"o.{suffix}", tmp_path / "a.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    Dubber(Painter(), detector).dub(video, sound, out)
    with av.open(str(out)) as container:
        assert suffix.replace("mkv", "matroska") in container.format.name.split(",")
    assert [round(frame.time_s, 3) for frame in decode(out)] == [round(n / 25, 3) for n in range(25)]
    heard, said = load_audio(out), load_audio(sound)
    assert heard.size == pytest.approx(said.size, abs=1100)
    shifts = np.correlate(heard[: said.size], said[800:-800], "valid")
    assert abs(int(shifts.argmax()) - 800) <= 20, "the sound is where it was, within a millisecond"


@pytest.mark.parametrize("bytes_", [241, 255])
def test_a_name_as_long_as_the_system_allows(
    tmp_path: Path, video: Path, detector: MediaPipeDetector, bytes_: int
) -> None:
    out = tmp_path / ("n" * (bytes_ - 4) + ".mp4")
    Dubber(Painter(), detector).dub(video, speech(tmp_path / "a.wav", 0.2), out)
    assert out.exists()


@pytest.mark.parametrize("track", [True, False])
def test_a_voice_over_another_sound(tmp_path: Path, detector: MediaPipeDetector, track: bool) -> None:
    """The source's own, or a track, as loud as it is asked for, for as long as the result lasts."""
    rate, out = 16_000, tmp_path / "o.mp4"
    soundfile.write(tmp_path / "voice.wav", tone(0.6, rate, 440), rate)
    soundfile.write(tmp_path / "music.wav", np.stack([tone(3.0, rate, 2000)] * 2, 1), rate)
    under = tone(1.0, rate, 2000) if not track else tone(1.0, rate, 3000)
    source = write_video(tmp_path / "v.mp4", talking(25), audio=(under, rate))
    mix = Mix(-12.0, tmp_path / "music.wav" if track else None)
    Dubber(Painter(), detector).dub(source, tmp_path / "voice.wav", out, DubSettings(mix=mix, length="video"))
    heard = load_audio(out)
    assert heard.size == pytest.approx(rate, abs=1100)

    def level(part: np.ndarray, hertz: float) -> float:
        at = np.arange(part.size) / rate
        return float(2 * np.abs((part * np.exp(-2j * np.pi * hertz * at)).mean()))

    first, later = heard[1600:8000], heard[11_200:15_200]
    assert level(first, 440) == pytest.approx(1 / 3, rel=0.05)
    assert level(later, 440) < 0.01
    for part in (first, later):
        assert level(part, 2000) == pytest.approx(10 ** (-12 / 20) / 3, rel=0.1)
        assert level(part, 3000) < 0.01


class Counting:
    """A detector that counts the pictures it has looked at."""

    def __init__(self, detector: MediaPipeDetector) -> None:
        self._detector, self.seen = detector, 0

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        def counted() -> Iterator[np.ndarray]:
            for image in images:
                self.seen += 1
                yield image

        return self._detector.follow(counted())


def test_faces_that_are_kept_are_not_looked_for_again(tmp_path: Path, video: Path, detector: MediaPipeDetector) -> None:
    """And give the same frames, also for a longer sound."""
    counting, settings = Counting(detector), DubSettings(kept_faces=tmp_path / "faces.npz")
    dubber = Dubber(Painter(), counting)
    short, long = speech(tmp_path / "a.wav", 0.4), speech(tmp_path / "b.wav", 1.0)
    dubber.dub(video, short, tmp_path / "1.mp4", settings)
    assert counting.seen >= 25, "all of the video"
    counting.seen = 0
    summary = dubber.dub(video, long, tmp_path / "2.mp4", settings)
    assert counting.seen == 0
    assert summary.warnings == (f"faces are those of {tmp_path / 'faces.npz'}",)
    plain = dubber.dub(video, long, tmp_path / "3.mp4")
    assert (plain.frames, plain.redrawn) == (summary.frames, summary.redrawn)
    assert (tmp_path / "2.mp4").read_bytes() == (tmp_path / "3.mp4").read_bytes()
    other = write_video(tmp_path / "other.mp4", talking(10))
    with pytest.raises(InputError, match=r"faces\.npz: its faces are of another video"):
        dubber.dub(other, short, tmp_path / "4.mp4", settings)
    (tmp_path / "faces.npz").write_bytes(b"none")
    with pytest.raises(InputError, match="no faces that `avcat dub --keep-faces` wrote"):
        dubber.dub(video, short, tmp_path / "4.mp4", settings)
