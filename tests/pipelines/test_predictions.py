"""Videos of other programs: the clip each belongs to, the true clip's crop out of them, a reason for unusable ones."""

import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from avcat.data.shards import Landmarks, ShardClip, write_shard
from avcat.errors import InputError
from avcat.face.align import AlignConfig, alignment, warp
from avcat.media.pictures import jpeg
from avcat.metrics.pair import EvaluateConfig
from pipelines.evaluate import Job, Scorer
from pipelines.outcome import Failed, Rejected, failed
from pipelines.predictions import (
    AMBIGUOUS,
    DOUBLED,
    MISSING,
    OTHER_SHAPE,
    TOO_SHORT,
    UNREADABLE,
    Predictions,
    read_crops,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "avcat"))
from drawn import talking, write_video

SIZE, FRAMES = 64, 10
ALIGN = AlignConfig((0.37, 0.31), (0.63, 0.31), 0.1, 1.0)
EYES = np.tile(np.array([[139.0, 148], [181, 148]], np.float32), (FRAMES, 1, 1))
MATRICES = alignment(EYES, np.arange(FRAMES) / 25, ALIGN, SIZE)


def row(clip_id: str, path: str, corpus: str = "mine", start_s: float = 0.0) -> dict:
    return {"clip_id": clip_id, "corpus": corpus, "path": path, "start_s": start_s, "width": 320, "height": 320}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_whose_a_file_is(tmp_path: Path) -> None:
    rows = [
        row("aa", "s1/one.mp4"),
        row("bb", "s1/two.avi"),
        row("cc", "s2/two.mp4"),
        row("dd", "s3/long.mkv", start_s=4),
    ]
    rows += [row("ee", "s3/long.mkv", start_s=8), row("ff", "s4/six.mp4"), row("gg", "s1/one.mp4", corpus="other")]
    rows += [row("hh", "s5/eight.mp4"), row("ii", "s6/nine.mp4"), row("jj", "s7/nine.mp4")]
    touch(
        tmp_path,
        "x/eight.mp4",
        "y/eight.mp4",
        "aa.mp4",
        "s2/two.webm",
        "two.mp4",
        "long.mp4",
        "notes.txt",
        "mine/s1/one.mp4",
        "one.mp4",
        "s6/nine.mp4",
    )
    found = Predictions(tmp_path, rows)
    names = {}
    for each in rows:
        try:
            path, start_s = found.find(each)
            names[each["clip_id"]] = path.relative_to(tmp_path).as_posix(), start_s
        except Rejected as reason:
            names[each["clip_id"]] = str(reason), None
    assert names == {
        "aa": ("aa.mp4", 0.0),  # by its id, before all others
        "bb": (AMBIGUOUS, None),  # there is a two.mp4, but s2/two.mp4 has that name, too
        "cc": ("s2/two.webm", 0.0),  # by its place
        "dd": ("long.mp4", 4),  # by its name, on its source's clock
        "ee": ("long.mp4", 8),
        "ff": (MISSING, None),
        "gg": (AMBIGUOUS, None),  # one.mp4 may be either corpus's
        "hh": (DOUBLED, None),  # ambiguous between the two
        "ii": ("s6/nine.mp4", 0.0),
        "jj": (MISSING, None),  # the only file belongs to another one by its place
    }
    with pytest.raises(InputError, match="no such folder, or no video in it"):
        Predictions(tmp_path / "nowhere", rows)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(talking(FRAMES))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "aa.mp4", iter(pictures))
    write_video(folder / "bb.mp4", iter(cv2.resize(p, (640, 640), interpolation=cv2.INTER_CUBIC) for p in pictures))
    write_video(folder / "cc.mp4", iter(pictures[:6]))
    write_video(folder / "dd.mp4", iter(p[:, :240] for p in pictures))
    (folder / "ee.mp4").write_bytes(b"no video at all")
    write_video(folder / "late.mp4", iter([np.zeros_like(pictures[0])] * 5 + pictures))
    return folder


def test_the_crop_is_that_of_the_true_clip_at_any_size(videos: Path, pictures: list[np.ndarray]) -> None:
    """To within what H.264 and twice the size leave: shifted by half a pixel of the crop it would be worse."""
    true = np.stack([warp(p, m, SIZE) for p, m in zip(pictures, MATRICES, strict=True)]).astype(float)
    for name, start_s in (("aa", 0.0), ("bb", 0.0), ("late", 0.2)):
        crops = read_crops(videos / f"{name}.mp4", start_s, row(name, "x"), MATRICES, SIZE)
        assert crops.shape == (FRAMES, SIZE, SIZE, 3)
        assert np.abs(crops - true).mean() < 2.5, name
    moved = MATRICES + np.array([[0, 0, 0.5], [0, 0, 0]])
    off = np.stack([warp(p, m, SIZE) for p, m in zip(pictures, moved, strict=True)])
    crops = read_crops(videos / "bb.mp4", 0.0, row("bb", "x"), MATRICES, SIZE)
    assert np.abs(crops - true).mean() < np.abs(crops - off.astype(float)).mean()


def test_figures_and_counted_reasons(videos: Path, pictures: list[np.ndarray], tmp_path: Path) -> None:
    """The worker, without Ray: the true video scores as the truth does, and each useless file has its reason."""
    marks = Landmarks(EYES, np.zeros((FRAMES, 20, 2), np.float32), np.ones(FRAMES, bool), MATRICES)
    jpegs = [jpeg(warp(p, m, SIZE), 100) for p, m in zip(pictures, MATRICES, strict=True)]
    mel = np.zeros((80, 4 * FRAMES), np.float32)
    facts = {"corpus": "mine", "speaker": "s"}
    ids = ["aa", "cc", "dd", "ee", "ff"]
    write_shard(tmp_path / "shard-000000.tar", [ShardClip(name, facts, jpegs, mel, marks) for name in ids])
    rows = [row(name, f"{name}.mp4") for name in ids]
    worker = Scorer(
        method="theirs",
        checkpoint=None,
        evaluator=None,
        predictions=Predictions(videos, rows),
        config=EvaluateConfig(0, 8, 3, 10, 0, None, None),
        device="cpu",
        shown=set(),
    )
    ends = []
    for number, each in enumerate(rows):
        try:
            ends.append(
                worker(Job(each["clip_id"], "mine", "s", FRAMES, tmp_path / "shard-000000.tar", number, each))[0]
            )
        except Exception as error:
            ends.append(failed(error))
    assert ends[0]["psnr"] > 32
    assert ends[0]["ssim"] > 0.95
    assert Counter(end.reason for end in ends if isinstance(end, Failed) and end.rejected) == Counter(
        [TOO_SHORT, OTHER_SHAPE, UNREADABLE, MISSING]
    )
