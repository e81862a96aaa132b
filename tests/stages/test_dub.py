"""Which clip a reproduction dubs in the end."""

from pathlib import Path
from typing import Any

import pytest

from avcat.errors import InputError
from stages.dub import choose_pair


def clip(corpus: str, speaker: str, seconds: float, path: str = "", split: str = "test") -> dict[str, Any]:
    name = {"corpus": corpus, "root": corpus, "path": path or f"{speaker}.mp4"}
    return {**name, "speaker": speaker, "split": split, "start_s": 0.0, "end_s": seconds}


def test_two_test_speakers_of_the_corpus_with_the_longest_clips() -> None:
    rows = [
        clip("long", "only one", 60),
        clip("words", "a", 1.2),
        clip("words", "b", 1.2),
        clip("wild", "learnt", 5, split="train"),
        clip("wild", "c", 3),
        clip("wild", "c", 4, "c2.mp4"),
        clip("wild", "d", 4),
    ]
    assert choose_pair(rows) == (Path("wild/c.mp4"), Path("wild/d.mp4"))


def test_files_of_several_clips_are_not_dubbed_whole() -> None:
    rows = [clip("long", "a", 20, "a.mp4"), clip("long", "a", 20, "a.mp4"), clip("long", "b", 20)]
    with pytest.raises(InputError, match="no corpus has two test speakers with a file each"):
        choose_pair(rows)
    assert choose_pair([*rows, clip("long", "c", 9)]) == (Path("long/b.mp4"), Path("long/c.mp4"))
