"""A study built from drawn clips by untrained models: who is seen, who is heard, and what an interruption repeats."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from drawn import face_picture, numbered, talking, tone, write_video
from painter import images_of
from small_training import INPUTS, METHODS, talking_clip

from avcat.apps.cli import main
from avcat.checkpoint import save_model
from avcat.data.schema import MANIFEST
from avcat.data.shards import ShardClip, write_shard
from avcat.errors import InputError
from avcat.media.audio import load_audio
from avcat.media.video import probe
from avcat.methods import build
from avcat.settings import to_dict
from avcat.study.build import choose_pairs, put_back
from avcat.study.plan import FILE, Study, clip_path, read_study

FRAMES = {"w-ann": 8, "w-ben": 10, "w-no_one": 9, "x-cat": 8, "x-dan": 12}
CUT = (0.16, 0.4)  # of dan's clip, seconds: frames 4 to 9
MODELS = {"drawn": "avcat", "animated": "makeittalk"}


def row(name: str, root: Path, **changes: Any) -> dict[str, Any]:
    """A clip of the manifest: its corpus is the letter before the dash, its speaker what follows."""
    corpus, speaker = name.split("-")
    seconds = FRAMES.get(name, 10) / 25
    facts = {"width": 320, "height": 320, "audio_rate": 16_000, "sha256": "", "shard": 0, "fps": 25.0, "split": "test"}
    place = {"clip_id": name, "corpus": corpus, "speaker": speaker, "path": f"{name}.mp4", "root": str(root)}
    return facts | place | {"start_s": 0.0, "end_s": seconds, "duration_s": seconds} | changes


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus w: two people and a picture without a face; corpus x: one, and a part of another one's longer clip."""
    root = tmp_path_factory.mktemp("out")
    for number, (name, frames) in enumerate(FRAMES.items()):
        sound = tone(frames / 25, hertz=220.0 * (number + 1)), 16_000
        pictures = numbered(frames, 320) if name == "w-no_one" else talking(frames, face=90 + 10 * number)
        write_video(root / f"{name}.mp4", pictures, audio=sound)
    rows = [row(name, root) for name in FRAMES if name != "x-dan"]
    rows.append(row("x-dan", root, start_s=CUT[0], end_s=CUT[1]))
    rows.append(row("w-lost", root))  # found no face in it: not in the shards
    rows.append(row("w-ann", root, clip_id="w-train", speaker="eve", split="train"))
    pq.write_table(pa.Table.from_pylist(rows, schema=MANIFEST), root / "manifest.parquet")
    some = talking_clip("s", 5)
    shard = [ShardClip(name, some.meta, some.jpegs, some.mel, some.landmarks) for name in FRAMES]
    write_shard(root / "shards" / "test" / "shard-000000.tar", shard)
    torch.manual_seed(0)
    for name, kind in MODELS.items():
        settings = METHODS[kind][0].model
        save_model(root / f"{name}.pt", kind, build(kind, to_dict(settings)), settings, INPUTS, {})
    return root


def build_(root: Path, folder: Path, *options: str) -> int:
    models = [f"--method={name}={root / name}.pt" for name in MODELS]
    return main(["study", "build", str(root), "-o", str(folder), "-q", *models, *options])


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "study"
    assert build_(root, folder) == 0
    return folder


def by_pair(study: Study, method: str) -> dict[str, str]:
    """video + sound -> clip"""
    return {f"{clip.video}+{clip.sound}": clip.clip for clip in study.clips if clip.method == method}


def test_all_methods_draw_the_same_pairs(built: Path) -> None:
    study = read_study(built)
    assert study.methods == ("drawn", "animated", "ground-truth")
    drawn = by_pair(study, "drawn")
    assert by_pair(study, "animated").keys() == by_pair(study, "ground-truth").keys() == drawn.keys()
    assert len({clip.clip for clip in study.clips}) == len(study.clips) == 3 * len(drawn)
    assert {clip.video for clip in study.clips} == {"w-ann", "w-ben", "x-cat", "x-dan"}
    for clip in study.clips:
        assert clip.corpus == clip.video[0] == clip.sound[0]
        assert clip.video != clip.sound
    (reason,) = study.left_out
    assert reason.startswith("w-no_one + w-")
    assert "drawn: " in reason
    assert "w-no_one.mp4: no face in any of its" in reason
    assert {clip.sound for clip in study.clips} <= FRAMES.keys(), "clips of the test split that have a face"


@pytest.mark.parametrize("method", ["drawn", "animated", "ground-truth"])
def test_what_is_heard_is_the_sound_s_clip(built: Path, root: Path, method: str) -> None:
    study = read_study(built)
    for clip in study.clips:
        if clip.method == method:
            out = clip_path(built, clip.clip)
            start, end = CUT if clip.sound == "x-dan" else (0.0, None)
            wanted, heard = load_audio(root / f"{clip.sound}.mp4", start_s=start, end_s=end), load_audio(out)
            assert abs(heard.size - wanted.size) <= 32
            size = min(heard.size, wanted.size)
            assert np.corrcoef(heard[:size], wanted[:size])[0, 1] > 0.99
            assert probe(out).width == probe(out).height == 320
            assert len(images_of(out)) == round(wanted.size / 640)


def test_the_truth_is_the_clip_that_is_heard(built: Path, root: Path) -> None:
    study = read_study(built)
    for clip in study.clips:
        if clip.method == "ground-truth":
            first = 4 if clip.sound == "x-dan" else 0
            source = images_of(root / f"{clip.sound}.mp4")[first:]
            for shown, true in zip(images_of(clip_path(built, clip.clip)), source, strict=False):
                assert np.abs(shown.astype(int) - true).mean() < 3


def test_a_redrawn_clip_moves_and_an_animated_one_stands_still(built: Path, root: Path) -> None:
    """Away from the face the one shows the video's frames, back and forth, the other only its first frame."""
    study = read_study(built)
    hair = slice(60, 110), slice(100, 220)  # rows, columns: moves with the head, above what is redrawn
    corner = slice(0, 30), slice(0, 320)
    for clip in study.clips:
        start = 4 if clip.video == "x-dan" else 0
        source = images_of(root / f"{clip.video}.mp4")[start:]
        pictures = images_of(clip_path(built, clip.clip))
        if clip.method == "drawn":
            assert np.abs(pictures[3][hair].astype(int) - source[3][hair]).mean() < 4
        if clip.method == "animated":
            for picture in pictures:
                assert np.abs(picture[corner].astype(int) - source[0][corner]).mean() < 3


def test_an_interrupted_build_goes_on(built: Path, root: Path) -> None:
    study = read_study(built)
    gone = clip_path(built, study.clips[1].clip)
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*.mp4")}
    whole = gone.read_bytes()
    gone.unlink()
    (built / FILE).unlink()
    assert build_(root, built) == 0
    assert read_study(built) == study
    changed = {path for path in built.rglob("*.mp4") if path.stat().st_mtime_ns != before.get(path)}
    assert changed == {gone}
    assert len(images_of(gone)) > 0
    assert abs(gone.stat().st_size - len(whole)) < 0.2 * len(whole)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--seed", "1"], "(seed"),
        (["--no-truth"], "(methods"),
        (["--clips", "1"], "(pairs"),
    ],
)
def test_a_folder_holds_one_study(
    built: Path, root: Path, capsys: pytest.CaptureFixture[str], options: list[str], what: str
) -> None:
    before = (built / FILE).read_text()
    assert build_(root, built, *options) == 2
    error = capsys.readouterr().err
    assert f"holds a study of something else {what}" in error
    assert error.count("\n") == 1
    assert (built / FILE).read_text() == before


def test_what_cannot_be_built_is_one_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.pt").write_text("no model")
    out = ["-o", str(tmp_path / "s"), "-q"]
    good = f"--method=drawn={root / 'drawn.pt'}"
    for words, reason in (
        ([str(root), *out, good, good], "two models of the same name"),
        ([str(root), *out, f"--method=ground-truth={root / 'drawn.pt'}"], "the name is reserved for the ground truth"),
        ([str(root), *out, f"--method=a={tmp_path / 'none.pt'}"], "none.pt: no such file"),
        ([str(root), *out, f"--method=a={tmp_path / 'text.pt'}"], "text.pt: not a model file"),
        ([str(root), *out, good, "--device", "cuda:77"], "--device cuda:77: not usable here"),
        ([str(tmp_path), *out, good], "manifest.parquet: cannot be read as a manifest"),
    ):
        assert main(["study", "build", *words]) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_pairs_are_of_as_many_people_as_there_can_be(tmp_path: Path) -> None:
    rows = [row(f"{corpus}-s{n // 3}", tmp_path, clip_id=f"{corpus}{n:02d}") for corpus in "wx" for n in range(30)]
    pairs = choose_pairs(rows, 10, seed=0)
    assert pairs == choose_pairs(rows[::-1], 10, seed=0)
    assert [pair.video["corpus"] for pair in pairs] == ["w"] * 10 + ["x"] * 10
    for corpus in "wx":
        assert len({pair.video["speaker"] for pair in pairs if pair.video["corpus"] == corpus}) == 10
    for pair in pairs:
        assert pair.sound["corpus"] == pair.video["corpus"]
        assert pair.sound["speaker"] != pair.video["speaker"]
    assert pairs != choose_pairs(rows, 10, seed=1)
    assert len(choose_pairs(rows, 100, seed=0)) == 60
    with pytest.raises(InputError, match="w: two test speakers are needed"):
        choose_pairs(rows[:3], 10, seed=0)


def test_a_crop_goes_back_to_where_it_was() -> None:
    picture, crop = face_picture(), np.full((64, 64, 3), (250, 10, 10), np.uint8)
    matrix = np.array([[0.5, 0, -50], [0, 0.5, -40]])  # 128 pixels from (100, 80) on
    out = put_back(picture, crop, matrix)
    changed = np.argwhere((out != picture).any(axis=2))
    assert changed.min(axis=0).tolist() >= [78, 98]
    assert changed.max(axis=0).tolist() <= [208, 228]
    assert (out[100:190, 120:210] == (250, 10, 10)).all()
    np.testing.assert_array_equal(out[:78], picture[:78])
