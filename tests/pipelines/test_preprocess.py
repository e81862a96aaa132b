"""Rendered videos to shards: the right frames in the right place, the same bytes whoever does it in whatever order."""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from avcat.config import CorpusConfig, DataConfig, InputConfig, RuntimeConfig, SpeakersConfig
from avcat.data.shards import ShardReader, open_shards
from avcat.errors import InputError
from avcat.face.align import eye_targets
from avcat.media.video import decode_at
from avcat.synth.corpus import plan, render, truth_path
from pipelines.manifest import assign_shards, build_manifest, find_videos, read_manifest
from pipelines.mels import compute_mels
from pipelines.shards import build_shards, fit_mel
from pipelines.tracks import track_clips
from stages._params import load

PARAMS = load("test")
BROKEN, SILENT, FACELESS, SHORT = "broken.mp4", "silent.mp4", "faceless.mp4", "short.mp4"


def write_video(path: Path, frames: int, *, sound: bool) -> None:
    """A grey video, with a second of tone for sound."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        voice = file.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for _ in range(frames):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")))
        file.mux(video.encode(None))
        if voice is not None:
            tone = 0.1 * np.sin(np.arange(16_000) * 0.2, dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            file.mux(voice.encode(frame))
            file.mux(voice.encode(None))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rendered speakers, and four clips that cannot be used for four reasons."""
    folder = tmp_path_factory.mktemp("corpus")
    speakers = SpeakersConfig(train=4, val=1, test=1, clips_per_speaker=1)
    nobody = SpeakersConfig(train=0, val=0, test=0, clips_per_speaker=1)
    for spec in plan(CorpusConfig(7, 256, speakers, nobody, (3.0, 3.1))):
        render(spec, folder)
    root = folder / "synth-words"
    (root / "train" / "nobody").mkdir()
    (root / "train" / "nobody" / BROKEN).write_bytes(b"this is no video")
    write_video(root / "train" / "nobody" / SILENT, 30, sound=False)
    write_video(root / "train" / "nobody" / FACELESS, 30, sound=True)
    write_video(root / "train" / "nobody" / SHORT, 5, sound=True)
    return root


def runtime(workers: int) -> RuntimeConfig:
    return RuntimeConfig(num_cpus=2, workers=workers, device="cpu", threads=1)


def data_of(root: Path) -> DataConfig:
    return replace(PARAMS.data, corpora={"synth-words": str(root)}, clips_per_shard=3, max_failed_fraction=0.2)


INPUTS = InputConfig(PARAMS.data.crop_size, PARAMS.align, PARAMS.mel)


def preprocess(root: Path, out: Path, workers: int) -> dict[str, Any]:
    """All stages of the data plane, as the stages call them; their counts."""
    data, manifest, run = data_of(root), out / "manifest.parquet", runtime(workers)
    counts = {
        "manifest": build_manifest(data, manifest, out / "manifest-outcomes.parquet", runtime=run),
        "tracks": track_clips(data, manifest, out / "tracks", out / "state" / "tracks", runtime=run),
        "mels": compute_mels(PARAMS.mel, data, manifest, out / "mels", runtime=run),
    }
    return counts | {"shards": make_shards(out, run)}


def make_shards(out: Path, run: RuntimeConfig, max_failed_fraction: float = 0.0) -> dict[str, Any]:
    return build_shards(
        INPUTS,
        95,
        max_failed_fraction,
        manifest=out / "manifest.parquet",
        tracks=out / "tracks",
        mels=out / "mels",
        out=out / "shards",
        state=out / "state" / "shards",
        runtime=run,
    )


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def done(ray_instance: None, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("done")
    return out, preprocess(corpus, out, workers=2)


def test_every_clip_has_its_outcome(done: tuple[Path, dict[str, Any]]) -> None:
    out, counts = done
    assert counts["manifest"]["clips"] == {"in": 10, "ok": 8, "rejected": 1, "failed": 1}
    assert counts["manifest"]["rejected"] == {"no sound": 1}
    assert counts["tracks"]["clips"] == {"in": 8, "ok": 6, "rejected": 2, "failed": 0}
    assert counts["tracks"]["rejected"] == {"no face": 1, "too short": 1}
    assert counts["mels"]["clips"]["ok"] == 8
    assert counts["shards"]["clips"] == {"in": 6, "ok": 6, "rejected": 0, "failed": 0}
    reasons = pq.read_table(out / "manifest-outcomes.parquet").to_pylist()
    (broken,) = [row["reason"] for row in reasons if row["status"] == "failed"]
    assert BROKEN in broken
    assert not (out / "state" / "tracks").exists()


def test_crops_show_the_frame_they_claim(done: tuple[Path, dict[str, Any]], corpus: Path) -> None:
    """Eyes and mouth of the renderer's truth, taken through the stored matrix, lie where the crop has them."""
    for reader in open_shards(done[0] / "shards" / "test"):
        meta, marks = reader.meta(0), reader.landmarks(0)
        truth = np.load(truth_path(corpus / meta["path"]))
        expected = np.einsum("tij,tkj->tki", marks.matrix[:, :, :2], truth["eyes"]) + marks.matrix[:, None, :, 2]
        assert np.abs(marks.eyes - expected).mean() < 4
        assert np.abs(marks.eyes - eye_targets(PARAMS.align, 256)).mean() < 4
        frames = reader.frames(0)
        assert len(frames) == len(list(decode_at(corpus / meta["path"])))
        assert reader.mel(0).shape == (80, 4 * len(frames))
        assert reader.mel(0).max() > 0.4


def test_bytes_do_not_depend_on_workers(done: tuple[Path, dict[str, Any]], corpus: Path, tmp_path: Path) -> None:
    preprocess(corpus, tmp_path, workers=1)
    assert hashes(tmp_path) == hashes(done[0])


def test_an_interrupted_run_keeps_what_is_done(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, ray_instance: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped when all shards were made and none published: none is made again, but the one made of other things."""
    out = tmp_path / "again"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "shards")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.shards.check_failures", stop)
        with pytest.raises(KeyboardInterrupt):
            make_shards(out, runtime(2))
    state = out / "state" / "shards"
    for tar in state.glob("*.tar"):
        os.utime(tar, ns=(1, 1))
    stale = state / "test-000000.done"
    stale.write_text("of something else")
    make_shards(out, runtime(2))
    assert hashes(out / "shards") == hashes(done[0] / "shards")
    made_again = {tar.parent.name for tar in (out / "shards").rglob("*.tar") if tar.stat().st_mtime_ns != 1}
    assert made_again == {"test"}
    assert not state.exists()


def stop(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_failing_clip_leaves_the_others(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, ray_instance: None
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "shards")
    victim = ShardReader(done[0] / "shards" / "train" / "shard-000000.tar").clips["clip_id"][0].as_py()
    (out / "mels" / f"{victim}.npy").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1 of 6 clips failed.*max_failed_fraction 0\.0"):
        make_shards(out, runtime(2))
    counts = make_shards(out, runtime(2), max_failed_fraction=0.5)  # goes on with the shards of the first try
    assert counts["clips"] == {"in": 6, "ok": 5, "rejected": 0, "failed": 1}
    left = [clip for reader in open_shards(out / "shards" / "train") for clip in reader.clips["clip_id"].to_pylist()]
    assert victim not in left
    assert len(left) == 3


def test_the_manifest_is_by_content(done: tuple[Path, dict[str, Any]]) -> None:
    rows = read_manifest(done[0] / "manifest.parquet")
    assert [row["split"] for row in rows] == ["train"] * 6 + ["val", "test"]
    train = [row for row in rows if row["split"] == "train"]
    assert [row["clip_id"] for row in train] == sorted(row["clip_id"] for row in train)
    assert [row["shard"] for row in train] == [0, 0, 0, 1, 1, 1]
    assert all(row["audio_rate"] == 16_000 for row in rows)
    assert {(row["fps"], row["start_s"]) for row in rows} == {(25.0, 0.0)}


def test_shards_are_assigned_in_any_order() -> None:
    rows = [{"clip_id": f"{n:02d}", "split": "train" if n % 2 else "val"} for n in range(10)]
    placed = assign_shards(rows, 2)
    assert placed == assign_shards(rows[::-1], 2)
    assert [row["shard"] for row in placed] == [0, 0, 1, 1, 2] * 2


def test_a_corpus_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder \(data\.corpora\.mine\)"):
        find_videos("mine", str(tmp_path / "nowhere"))
    (tmp_path / "loose.mp4").touch()
    with pytest.raises(InputError, match="no video at <train"):
        find_videos("mine", str(tmp_path))


def test_names_with_spaces_and_other_letters_are_found(tmp_path: Path) -> None:
    def make(*parts: str) -> None:
        tmp_path.joinpath(*parts).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(*parts).touch()

    make("train", "a b", "it's.MP4")
    make("train", "жук", "x", "y.mov")
    make("train", "a b", "notes.txt")
    found = find_videos("mine", str(tmp_path))
    assert [(source.speaker, source.path) for source in found] == [
        ("a b", "train/a b/it's.MP4"),
        ("жук", "train/жук/x/y.mov"),
    ]
    assert len({source.clip_id for source in found}) == 2
    assert all(len(source.clip_id) == 16 for source in found)


def test_a_mel_fits_its_picture() -> None:
    mel = np.ones((80, 8), np.float32)
    assert fit_mel(mel, 1).shape == (80, 4)
    longer = fit_mel(mel, 3)
    assert longer.shape == (80, 12)
    assert (longer[:, :8] == 1).all()
    assert (longer[:, 8:] == 0).all()
