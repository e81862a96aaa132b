"""Which frame is shown when, by hand, and frames by their number against plain decoding."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from drawn import number_of, numbered, write_video

from avcat.errors import InputError
from avcat.media import reader
from avcat.media.container import Notes
from avcat.media.reader import FrameReader
from avcat.media.timeline import fit_to
from avcat.media.video import Frame, decode

PTS = np.array([10, 20, 50, 60])  # the last frame lasts 40: the end is 100


def test_a_longer_video_is_cut() -> None:
    assert fit_to(PTS, 40, 55, "pingpong") == [(0, 10, 10), (1, 20, 30), (2, 50, 5)]
    assert fit_to(PTS, 40, 50, "error") == [(0, 10, 10), (1, 20, 30)]


def test_forth_and_back_with_each_frames_own_length() -> None:
    shown = fit_to(PTS, 40, 250, "pingpong")
    assert [frame.source for frame in shown] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1]
    assert [frame.duration for frame in shown] == [10, 30, 10, 40, 10, 30, 10, 30, 10, 40, 10, 10]


@pytest.mark.parametrize("fit", ["pingpong", "freeze"])
@pytest.mark.parametrize("total", [11, 60, 99, 100, 101, 777])
def test_frames_join_up_and_end_with_the_sound(fit: str, total: int) -> None:
    shown = fit_to(PTS, 40, total, fit)  # type: ignore[arg-type]
    assert shown[0].pts == 10
    assert all(before.pts + before.duration == after.pts for before, after in pairwise(shown))
    assert shown[-1].pts + shown[-1].duration == total
    assert all(frame.duration >= 1 for frame in shown)


def test_freeze_stays_on_the_last_frame_at_the_usual_rate() -> None:
    shown = fit_to(PTS, 40, 150, "freeze")
    assert [frame.source for frame in shown] == [0, 1, 2, 3, 3, 3, 3]
    assert [frame.duration for frame in shown[4:]] == [22, 22, 6]


def test_one_frame_goes_on() -> None:
    assert [frame.source for frame in fit_to(np.array([0]), 5, 14, "pingpong")] == [0, 0, 0]


def test_too_short_can_be_an_error() -> None:
    with pytest.raises(InputError, match=r"shorter than the sound \(81\.3% of it\)"):
        fit_to(PTS, 40, 123, "error")


def test_the_last_frame_may_stay_until_a_sound_that_ends_within_one() -> None:
    """An AAC stream of the very same video is up to 21 ms longer; frames last 22.5 ticks on average."""
    assert fit_to(PTS, 40, 110, "error")[-2:] == [(3, 60, 40), (3, 100, 10)]


@pytest.mark.parametrize("held", [1, 3, 64])
def test_frames_by_number(tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_HELD_FRAMES", held)
    path = write_video(tmp_path / "a.mp4", numbered(40), preset="medium")
    frames = FrameReader(path, np.array([frame.time_s for frame in decode(path)]))
    walk = [*range(40), *range(38, 0, -1), *range(12), 30, 30, 31, 5, 4, 3, 39, 39, 0]
    assert [number_of(frames[number].image) for number in walk] == walk


def test_walking_back_holds_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_HELD_BYTES", 5 * 64 * 64 * 3)
    path = write_video(tmp_path / "a.mp4", numbered(40))
    frames = FrameReader(path, np.array([frame.time_s for frame in decode(path)]))
    for number in [*range(40), *range(38, -1, -1)]:
        assert number_of(frames[number].image) == number
        assert len(frames._held) <= 5


def test_a_short_way_ahead_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(40))
    times_s = np.array([frame.time_s for frame in decode(path)])
    opened: list[float] = []

    def counted(path: Path, start_s: float, notes: Notes) -> Iterator[Frame]:
        opened.append(start_s)
        return decode(path, start_s, notes=notes)

    monkeypatch.setattr(reader, "decode", counted)
    frames = FrameReader(path, times_s)
    assert [number_of(frames[number].image) for number in range(0, 40, 3)] == list(range(0, 40, 3))
    assert len(opened) == 1
