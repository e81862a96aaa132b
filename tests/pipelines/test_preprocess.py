"""Rendered videos to shards: the right frames in the right place, the same bytes for any workers and order."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from plane import PARAMS, data_of, hashes, make_shards, preprocess, render_words, runtime
from videos import write_video

from avcat.data.shards import ShardReader, open_shards
from avcat.errors import InputError
from avcat.face.align import eye_targets
from avcat.media.video import decode_at
from avcat.synth.corpus import truth_path
from pipelines.shards import fit_mel

UNREADABLE = "cannot be read as video or sound (Invalid data found when processing input)"
BROKEN, SOUNDLESS, SILENT, FACELESS, SHORT = "broken.mp4", "soundless.mp4", "silent.mp4", "faceless.mp4", "short.mp4"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rendered speakers, and five clips that cannot be used for five reasons."""
    folder = tmp_path_factory.mktemp("corpus")
    root = render_words(folder, 4, seed=7)
    (root / "train" / "no_one").mkdir()
    (root / "train" / "no_one" / BROKEN).write_bytes(b"this is no video")
    write_video(root / "train" / "no_one" / SOUNDLESS, 30, sound=False)
    write_video(root / "train" / "no_one" / SILENT, 30, sound=True, loudness=0.0)
    write_video(root / "train" / "no_one" / FACELESS, 30, sound=True)
    write_video(root / "train" / "no_one" / SHORT, 5, sound=True)
    return root


@pytest.fixture(scope="module")
def done(ray_instance: None, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("done")
    return out, preprocess(data_of(corpus), out, runtime())


def test_every_clip_has_its_outcome(done: tuple[Path, dict[str, Any]]) -> None:
    out, counts = done
    assert counts["manifest"]["clips"] == {"in": 11, "ok": 9, "rejected": 2, "failed": 0}
    assert counts["manifest"]["rejected"] == {UNREADABLE: 1, "no sound": 1}
    assert counts["tracks"]["clips"] == {"in": 11, "ok": 6, "rejected": 5, "failed": 0}
    assert counts["tracks"]["rejected"] == {UNREADABLE: 1, "no face": 2, "no sound": 1, "too short": 1}
    assert counts["mels"]["rejected"] == {UNREADABLE: 1, "no sound": 1, "silent": 1}
    assert counts["shards"]["clips"] == {"in": 11, "ok": 6, "rejected": 5, "failed": 0}
    report = {row["path"].split("/")[-1]: row for row in pq.read_table(out / "shards" / "outcomes.parquet").to_pylist()}
    assert len(report) == 11
    assert {
        name: (report[name]["stage"], report[name]["reason"]) for name in (BROKEN, SOUNDLESS, SILENT, FACELESS, SHORT)
    } == {
        BROKEN: ("manifest", UNREADABLE),
        SOUNDLESS: ("manifest", "no sound"),
        SILENT: ("tracks", "no face"),
        FACELESS: ("tracks", "no face"),
        SHORT: ("tracks", "too short"),
    }
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
    preprocess(data_of(corpus), tmp_path, runtime(1))
    assert hashes(tmp_path) == hashes(done[0])


def test_an_interrupted_run_keeps_what_is_done(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, ray_instance: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped when all shards were made and none published: none is made again, except the one with other inputs."""
    out = tmp_path / "again"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "shards")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.shards.check_failures", stop)
        with pytest.raises(KeyboardInterrupt):
            make_shards(out, runtime(), 0.2)
    state = out / "state" / "shards"
    for tar in state.glob("*.tar"):
        os.utime(tar, ns=(1, 1))
    stale = state / "test-000000.done"
    stale.write_text("of something else")
    make_shards(out, runtime(), 0.2)
    assert hashes(out / "shards") == hashes(done[0] / "shards")
    made_again = {tar.parent.name for tar in (out / "shards").rglob("*.tar") if tar.stat().st_mtime_ns != 1}
    assert made_again == {"test"}
    assert not state.exists()


def test_what_earlier_runs_made_of_other_clips_is_removed(
    done: tuple[Path, dict[str, Any]], corpus: Path, tmp_path: Path
) -> None:
    """A shard without any remaining clip must not be trained on."""
    out = tmp_path / "again"
    shutil.copytree(done[0], out)
    for made in (out / "shards" / "train").glob("shard-000000*"):
        shutil.copy(made, made.with_name(made.name.replace("000000", "000009")))
    for folder, suffix in (("tracks", ".parquet"), ("mels", ".npz")):
        shutil.copy(out / folder / f"train-000000{suffix}", out / folder / f"train-000009{suffix}")
    preprocess(data_of(corpus), out, runtime())
    assert hashes(out) == hashes(done[0])


def stop(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_failing_clip_leaves_the_others(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, ray_instance: None
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    shutil.rmtree(out / "shards")
    victim = ShardReader(done[0] / "shards" / "train" / "shard-000000.tar").clips["clip_id"][0].as_py()
    mels = dict(np.load(out / "mels" / "train-000000.npz"))
    np.savez(out / "mels" / "train-000000.npz", **{**mels, victim: np.zeros((3, 3, 3), np.float32)})
    with pytest.raises(InputError, match=r"1 of 11 clips failed.*max_failed_fraction 0\.05"):
        make_shards(out, runtime(), 0.05)
    counts = make_shards(out, runtime(), 0.5)  # goes on with the shards of the first try
    assert counts["clips"] == {"in": 11, "ok": 5, "rejected": 5, "failed": 1}
    left = [clip for reader in open_shards(out / "shards" / "train") for clip in reader.clips["clip_id"].to_pylist()]
    assert victim not in left
    assert len(left) == 3


def test_a_mel_fits_its_picture() -> None:
    mel = np.ones((80, 8), np.float32)
    assert fit_mel(mel, 1).shape == (80, 4)
    longer = fit_mel(mel, 3)
    assert longer.shape == (80, 12)
    assert (longer[:, :8] == 1).all()
    assert (longer[:, 8:] == 0).all()
