"""Shards: what goes in comes out, by index and by webdataset; broken ones are named; bytes depend only on content."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from avcat.data.shards import (
    Landmarks,
    ShardClip,
    ShardReader,
    damaged_shards,
    index_path,
    open_shards,
    stats_path,
    write_shard,
)
from avcat.errors import InputError
from avcat.media.pictures import jpeg

SIZE = 64


def frame_of(clip: int, frame: int) -> np.ndarray:
    """A picture with flat colours that encode its clip and frame."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[:, :, 0] = 40 * clip
    image[:, :, 1] = 20 * frame
    image[: SIZE // 2, :, 2] = 200
    return image


def make_clip(number: int, frames: int) -> ShardClip:
    rng = np.random.default_rng(number)
    return ShardClip(
        clip_id=f"{number:016x}",
        meta={"corpus": "drawn", "speaker": f"s{number}", "frames": frames},
        jpegs=[jpeg(frame_of(number, t), 95) for t in range(frames)],
        mel=rng.random((80, 4 * frames), np.float32),
        landmarks=Landmarks(
            eyes=rng.random((frames, 2, 2), np.float32),
            mouth=rng.random((frames, 20, 2), np.float32),
            found=np.arange(frames) % 2 == 0,
            matrix=rng.random((frames, 2, 3)),
        ),
    )


CLIPS = [make_clip(number, 4 + number) for number in range(3)]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    path = tmp_path / "shard-000000.tar"
    write_shard(path, CLIPS)
    return path


def assert_same_clip(reader: ShardReader, row: int, clip: ShardClip) -> None:
    frames = reader.frames(row)
    assert frames.shape == (len(clip.jpegs), SIZE, SIZE, 3)
    for got, data in zip(frames, clip.jpegs, strict=True):
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(reader.mel(row), clip.mel)
    assert reader.mel(row).dtype == np.float32
    for name in ("eyes", "mouth", "found", "matrix"):
        np.testing.assert_array_equal(getattr(reader.landmarks(row), name), getattr(clip.landmarks, name))
    assert reader.meta(row) == clip.meta


def test_what_goes_in_comes_out(tar: Path) -> None:
    reader = ShardReader(tar)
    assert reader.clips["clip_id"].to_pylist() == [clip.clip_id for clip in CLIPS]
    assert reader.clips["frames"].to_pylist() == [4, 5, 6]
    assert reader.clips["speaker"].to_pylist() == ["s0", "s1", "s2"]
    for row, clip in enumerate(CLIPS):
        assert_same_clip(reader, row, clip)


def test_colours_are_rgb_and_ranges_are_half_open(tar: Path) -> None:
    frames = ShardReader(tar).frames(2, 3, 5)
    assert frames.shape == (2, SIZE, SIZE, 3)
    np.testing.assert_allclose(frames[1, -5, 5], [80, 80, 0], atol=4)
    np.testing.assert_allclose(frames[0, 5, 5], [80, 60, 200], atol=4)


@pytest.mark.filterwarnings("ignore:.*FileIO:pytest.PytestUnraisableExceptionWarning")  # webdataset leaves it open
def test_webdataset_reads_the_same(tar: Path) -> None:
    import webdataset as wds

    samples = list(wds.WebDataset(str(tar), shardshuffle=False).decode())
    reader = ShardReader(tar)
    assert [sample["__key__"] for sample in samples] == [clip.clip_id for clip in CLIPS]
    for row, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["mel.npy"], reader.mel(row))
        np.testing.assert_array_equal(sample["landmarks.npz"]["mouth"], reader.landmarks(row).mouth)
        assert sample["json"] == reader.meta(row)
        jpegs = sorted(name for name in sample if name.endswith(".jpg"))
        assert len(jpegs) == reader.frame_count(row)


def test_bytes_depend_on_content_alone(tmp_path: Path, tar: Path) -> None:
    again = tmp_path / "again" / "shard-000000.tar"
    stats = write_shard(again, iter(CLIPS))
    for path_of in (lambda path: path, index_path, stats_path):
        assert path_of(tar).read_bytes() == path_of(again).read_bytes()
    assert stats["clips"] == 3
    assert stats["frames"] == 15
    assert stats["bytes"] == tar.stat().st_size


def test_threads_share_a_reader(tar: Path) -> None:
    reader = ShardReader(tar)
    expected = [reader.frames(row) for row in range(3)]
    with ThreadPoolExecutor(8) as pool:
        for row, got in zip([0, 1, 2] * 20, pool.map(reader.frames, [0, 1, 2] * 20), strict=True):
            np.testing.assert_array_equal(got, expected[row])


def test_a_reader_can_be_pickled(tar: Path) -> None:
    assert_same_clip(pickle.loads(pickle.dumps(ShardReader(tar))), 1, CLIPS[1])


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[ShardClip]:
        yield CLIPS[0]
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        write_shard(tmp_path / "shard-000000.tar", broken())
    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_shard_is_named(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[:9000])
    with pytest.raises(InputError, match=r"shard-000000\.tar: the file ends early"):
        ShardReader(tar).frames(2)


def test_a_broken_frame_is_named(tar: Path) -> None:
    offset = ShardReader(tar).clips["jpeg_offsets"][1][0].as_py()
    data = bytearray(tar.read_bytes())
    data[offset : offset + 4] = b"\0\0\0\0"
    tar.write_bytes(data)
    with pytest.raises(InputError, match=r"shard-000000\.tar: clip 0000000000000001 has a broken frame"):
        ShardReader(tar).frames(1)


def test_what_is_missing_or_no_shard_is_named(tmp_path: Path, tar: Path) -> None:
    with pytest.raises(InputError, match="no shards here"):
        open_shards(tmp_path / "nowhere")
    assert len(open_shards(tmp_path)) == 1
    stats_path(tar).unlink()
    with pytest.raises(InputError, match="not finished"):
        open_shards(tmp_path)
    index_path(tar).write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"shard-000000\.tar: cannot be read as a shard"):
        ShardReader(tar)


def damaged(tar: Path, member: str, at: int, data: bytes) -> ShardReader:
    """The shard with some bytes of its first clip's member replaced."""
    place = ShardReader(tar).clips[member][0].as_py()
    with tar.open("r+b") as file:
        file.seek(place["offset"] + at)
        file.write(data)
    return ShardReader(tar)


def test_a_mel_that_is_no_numbers_is_told(tar: Path) -> None:
    with pytest.raises(InputError, match="has a broken mel"):
        damaged(tar, "mel", 200, np.full(8, np.nan, np.float32).tobytes()).mel(0)


def test_damaged_landmarks_are_told(tar: Path) -> None:
    with pytest.raises(InputError, match="has broken landmarks"):
        damaged(tar, "landmarks", 300, bytes(range(40))).landmarks(0)


def test_a_tar_that_is_gone_is_told(tmp_path: Path) -> None:
    for number in range(2):
        write_shard(tmp_path / f"shard-{number:06d}.tar", CLIPS)
    (tmp_path / "shard-000001.tar").unlink()
    with pytest.raises(InputError, match=r"shard-000001\.tar: cannot be read"):
        open_shards(tmp_path)
    assert len(open_shards(tmp_path, skip_broken=True)) == 1


def test_every_byte_can_be_verified(tar: Path) -> None:
    assert damaged_shards(tar.parent) == []
    damaged(tar, "mel", 200, bytes([1, 2, 3]))
    assert damaged_shards(tar.parent) == [f"{tar}: not the bytes that were written"]
