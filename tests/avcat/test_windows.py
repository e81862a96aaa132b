"""Which frames, sounds and references make a sample."""

import os
from pathlib import Path

import numpy as np
import pytest

from avcat.data.schema import WINDOW_FRAMES
from avcat.data.shards import Landmarks, ShardClip, ShardReader, write_shard
from avcat.data.windows import ClipStore, WindowSampler, reference_for, spaced_starts
from avcat.errors import InputError
from avcat.media.mel import mel_windows
from avcat.media.pictures import jpeg
from avcat.seeding import rng_of

SIZE = 32


def clip(name: str, speaker: str, frames: int) -> ShardClip:
    """Frame t is a flat picture of grey 4 t, and every column of its sound is t / 100."""
    pictures = [np.full((SIZE, SIZE, 3), 4 * t, np.uint8) for t in range(frames)]
    mel = np.repeat(np.arange(frames, dtype=np.float32) / 100, 4)[None].repeat(80, 0)
    marks = Landmarks(
        np.zeros((frames, 2, 2), np.float32),
        np.zeros((frames, 20, 2), np.float32),
        np.ones(frames, bool),
        np.zeros((frames, 2, 3)),
    )
    return ShardClip(name, {"corpus": "c", "speaker": speaker}, [jpeg(p, 95) for p in pictures], mel, marks)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shard(tmp_path / "shard-000000.tar", [clip("a", "s1", 30), clip("b", "s2", 50), clip("c", "s3", 4)])
    write_shard(tmp_path / "shard-000001.tar", [clip("d", "s4", 60)])
    return tmp_path


def test_frames_and_sounds_belong_together(shards: Path) -> None:
    sampler = WindowSampler(ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30), seed=1, clips=4, min_gap=8)
    for step in range(5):
        batch = sampler.batch(step)
        t = batch.frames[:, :, 0, 0, 0].astype(int) // 4
        assert (np.diff(t, axis=1) == 1).all(), "five consecutive frames"
        np.testing.assert_allclose(batch.mels[:, :, 0, 8:12].mean(-1), t / 100, atol=1e-6)
        reference = batch.references[:, 0, 0, 0].astype(int) // 4
        gap = np.maximum(t[:, 0] - reference, reference - t[:, -1])
        assert (gap >= 8).all()


def test_a_batch_depends_on_seed_and_step_alone(shards: Path) -> None:
    one, two = (ClipStore(shards, image_size=SIZE, cache_bytes=cache) for cache in (1 << 30, 0))
    first = WindowSampler(one, seed=1, clips=2)
    for step in (7, 0, 7):
        a, b = first.batch(step), WindowSampler(two, seed=1, clips=2).batch(step)
        assert np.array_equal(a.frames, b.frames)
        assert np.array_equal(a.mels, b.mels)
    other = WindowSampler(one, seed=2, clips=2)
    assert any(not np.array_equal(first.batch(s).frames, other.batch(s).frames) for s in range(3))


def test_prefetching_changes_nothing(shards: Path) -> None:
    sampler = WindowSampler(ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30), seed=1, clips=2)
    ahead = list(sampler.prefetch(3, 9))
    assert len(ahead) == 6
    assert all(np.array_equal(batch.frames, sampler.batch(3 + i).frames) for i, batch in enumerate(ahead))


def test_every_clip_comes_up_once_an_epoch(shards: Path) -> None:
    sampler = WindowSampler(ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30), seed=1, clips=1)
    epoch = [int(sampler.batch(step).clips[0]) for step in range(3)]
    assert sorted(epoch) == [0, 1, 2], "the clip of four frames is left out"


def test_windows_of_one_clip_keep_their_distance() -> None:
    rng = rng_of("test")
    for _ in range(200):
        starts = spaced_starts(26, 5, rng.random(4))
        assert (np.diff(starts) >= 5).all()
        assert starts.min() >= 0
        assert starts.max() <= 25
    assert spaced_starts(4, 5, rng.random(4)).tolist() == [0, 1, 2, 3], "a short clip: as far apart as there is room"
    assert spaced_starts(1, 5, rng.random(1)).tolist() == [0]
    assert spaced_starts(26, 5, np.array([0.999, 0.0])).tolist() == [0, 25], "both ends can be reached"


def test_a_reference_from_as_far_as_the_clip_allows() -> None:
    rng = rng_of("test")
    window = np.arange(WINDOW_FRAMES)
    assert {reference_for(window, 12, 5, rng.random()) for _ in range(50)} == {9, 10, 11}
    assert [reference_for(window, 12, 5, draw) for draw in (0.0, 0.34, 0.999)] == [9, 10, 11]
    assert reference_for(window, 7, 5, 0.5) == 6
    assert reference_for(np.array([0, 9]), 10, 5, 0.5) in {4, 5}


def test_frames_from_anywhere_come_in_order_with_their_own_sounds(shards: Path) -> None:
    store = ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30)
    batch = WindowSampler(store, seed=1, clips=8, consecutive=False).batch(0)
    t = batch.frames[:, :, 0, 0, 0].astype(int) // 4
    assert (np.diff(t, axis=1) > 0).all()
    assert (np.diff(t, axis=1) > 1).any()
    np.testing.assert_allclose(batch.mels[:, :, 0, 8:12].mean(-1), t / 100, atol=1e-6)


def test_halves_share_no_speaker(shards: Path) -> None:
    even, odd = (ClipStore(shards, image_size=SIZE, cache_bytes=0, half=half) for half in ("even", "odd"))
    speakers = [{row["speaker"] for row, _, _ in store.rows} for store in (even, odd)]
    assert not speakers[0] & speakers[1]
    assert speakers[0] | speakers[1] == {"s1", "s2", "s4"}


def test_other_sizes_are_resized(shards: Path) -> None:
    store = ClipStore(shards, image_size=16, cache_bytes=1 << 30)
    assert store.frames(0, [0, 29]).shape == (2, 16, 16, 3)
    assert store.frames(0, [29])[0, 0, 0, 0] == 116


def test_no_shards_is_the_user_s_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        ClipStore(tmp_path, image_size=SIZE, cache_bytes=0)


def test_mel_windows_of_a_clip_s_edge_are_silent(shards: Path) -> None:
    mel = ClipStore(shards, image_size=SIZE, cache_bytes=0).mel(0)
    assert mel_windows(mel, np.array([0]))[0, :, :8].max() == 0


def damage(tar: Path, clip: int) -> None:
    """Overwrites the first frame of a clip."""
    offset = ShardReader(tar).clips["jpeg_offsets"][clip].values[0].as_py()
    with tar.open("r+b") as file:
        file.seek(offset)
        file.write(b"not a picture")


def test_a_broken_frame_stops_with_the_name_of_its_shard_or_another_clip_is_taken(shards: Path) -> None:
    damage(shards / "shard-000001.tar", 0)
    strict = WindowSampler(ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30), seed=1, clips=6)
    with pytest.raises(InputError, match=r"shard-000001\.tar: clip d has a broken frame"):
        strict.batch(0)
    store = ClipStore(shards, image_size=SIZE, cache_bytes=1 << 30, skip_broken=True)
    batches = [WindowSampler(store, seed=1, clips=6).batch(step) for step in range(4)]
    assert all(len(batch.clips) == 6 for batch in batches)
    assert {store.rows[clip][0]["speaker"] for batch in batches for clip in batch.clips} == {"s1", "s2"}
    again = WindowSampler(store, seed=1, clips=6).batch(2)
    assert np.array_equal(again.frames, batches[2].frames)


def test_a_cut_off_shard_is_named_or_left_out(shards: Path) -> None:
    tar = shards / "shard-000001.tar"
    os.truncate(tar, tar.stat().st_size // 2)
    with pytest.raises(InputError, match=r"shard-000001\.tar: the file ends early"):
        ClipStore(shards, image_size=SIZE, cache_bytes=0)
    assert len(ClipStore(shards, image_size=SIZE, cache_bytes=0, skip_broken=True)) == 2


def test_threads_change_nothing(shards: Path) -> None:
    one, many = (ClipStore(shards, image_size=SIZE, cache_bytes=0, threads=threads) for threads in (1, 4))
    expected = list(WindowSampler(one, seed=1, clips=3).prefetch(0, 12))
    for a, b in zip(expected, WindowSampler(many, seed=1, clips=3).prefetch(0, 12), strict=True):
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))
