"""Layouts of corpora, and which speaker goes into which split."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from avcat.errors import InputError
from pipelines.corpora import check_splits, deal, find_sources, media_below, share_of, strange
from pipelines.settings import DataConfig, SourceConfig
from stages._params import load

DATA = load("test").data


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def corpus(root: Path, kind: str, table: Path | None = None, **over: object) -> DataConfig:
    source = SourceConfig(kind, str(root), str(table) if table else None)  # type: ignore[arg-type]
    return replace(DATA, corpora={"mine": source}, **over)  # type: ignore[arg-type]


def splits(config: DataConfig) -> dict[str, tuple[str, str]]:
    return {source.path: (source.speaker, source.split) for source in find_sources(config)}


def test_a_folder_whose_folders_are_the_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/a b/it's.MP4", "train/жук/x/y.mov", "train/a b/notes.txt", "val/c/1.mp4", "test/d/1.mp4")
    assert splits(corpus(tmp_path, "folder")) == {
        "test/d/1.mp4": ("d", "test"),
        "train/a b/it's.MP4": ("a b", "train"),
        "train/жук/x/y.mov": ("жук", "train"),
        "val/c/1.mp4": ("c", "val"),
    }


def test_any_folder_is_split_by_speaker_and_each_split_has_somebody(tmp_path: Path) -> None:
    touch(tmp_path, "alice/1.mp4", "alice/2.mp4", "bob/1.mp4", "carol.mp4")
    found = splits(corpus(tmp_path, "folder"))
    assert found["alice/1.mp4"] == found["alice/2.mp4"]
    assert {speaker for speaker, _ in found.values()} == {"alice", "bob", "carol.mp4"}
    assert {split for _, split in found.values()} == {"train", "val", "test"}


def test_nobody_moves_when_others_come() -> None:
    few = {f"speaker {n}" for n in range(200)}
    many = few | {f"other {n}" for n in range(2000)}
    shares = {"test": 0.1, "val": 0.05}
    before, now = deal(few, shares, "c"), deal(many, shares, "c")
    assert all(now[name] == split for name, split in before.items())
    counts = {split: list(now.values()).count(split) / len(now) for split in ("train", "val", "test")}
    assert counts == pytest.approx({"train": 0.85, "val": 0.05, "test": 0.1}, abs=0.02)


def test_dealing_small_numbers() -> None:
    shares = {"test": 0.1, "val": 0.05}
    assert deal([], shares, "c") == {}
    assert deal(["a"], shares, "c") == {"a": "train"}
    assert sorted(deal(["a", "b", "c"], shares, "c").values()) == ["test", "train", "val"]
    assert set(deal([str(n) for n in range(50)], {"test": 0.0, "val": 0.0}, "c").values()) == {"train"}


def test_lrw(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "lipread_mp4/ABOUT/train/ABOUT_00001.mp4",
        "lipread_mp4/ABOUT/val/ABOUT_00001.mp4",
        "lipread_mp4/ABOUT/test/ABOUT_00002.mp4",
        "lipread_mp4/ABOUT/train/ABOUT_00001.txt",
        "lipread_mp4/stray.mp4",
    )
    expected = {
        "ABOUT/test/ABOUT_00002.mp4": ("ABOUT_00002", "test"),
        "ABOUT/train/ABOUT_00001.mp4": ("ABOUT_00001", "train"),
        "ABOUT/val/ABOUT_00001.mp4": ("ABOUT_00001", "val"),
    }
    assert splits(corpus(tmp_path / "lipread_mp4", "lrw")) == expected
    assert splits(corpus(tmp_path, "lrw")) == {f"lipread_mp4/{path}": end for path, end in expected.items()}


def test_voxceleb(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    touch(one, *(f"id1{n:04d}/video/00001.mp4" for n in (1, 2, 269, 270, 309, 310)), "Eartha_Kitt/v/1.mp4")
    found = splits(corpus(one, "voxceleb"))
    tested = {speaker for speaker, split in found.values() if split == "test"}
    assert tested == {"id10270", "id10309", "Eartha_Kitt"}
    assert {split for _, split in found.values()} == {"train", "val", "test"}
    touch(two, *(f"dev/mp4/id0{n:04d}/video/00001.mp4" for n in range(4)), "test/mp4/id10270/video/00001.mp4")
    found = splits(corpus(two, "voxceleb"))
    assert found["test/mp4/id10270/video/00001.mp4"] == ("id10270", "test")
    assert {split for path, (_, split) in found.items() if path.startswith("dev")} == {"train", "val"}


def test_a_share_of_a_corpus_trains_and_all_of_it_tests(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{split[1:]}/{n}.mp4" for split in ("train", "test", "val") for n in range(300)))
    found = splits(corpus(tmp_path, "folder", mix={"mine": 0.2}))
    count = {split: sum(end == split for _, end in found.values()) for split in ("train", "val", "test")}
    assert count["val"] == count["test"] == 300
    assert 40 < count["train"] < 80
    assert all(share_of("mine", path) < 0.2 for path, (_, split) in found.items() if split == "train")
    with pytest.raises(InputError, match=r"data\.mix\.other: no such corpus, there are mine"):
        find_sources(corpus(tmp_path, "folder", mix={"other": 1.0}))


def test_a_table_tells_speakers_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.mp4", "x/2.mp4", "x/3.mp4")
    table = tmp_path / "clips.csv"
    table.write_text("path,speaker,split\nx/1.mp4,ann,test\nx/3.mp4,,train\n")
    assert splits(corpus(tmp_path, "folder", table)) == {"x/1.mp4": ("ann", "test"), "x/3.mp4": ("x", "train")}
    for line, reason in (("x/9.mp4,a,train", "line 2 names no video"), ("x/1.mp4,a,dev", "line 2: split 'dev'")):
        table.write_text(f"path,speaker,split\n{line}\n")
        with pytest.raises(InputError, match=reason):
            find_sources(corpus(tmp_path, "folder", table))
    with pytest.raises(InputError, match=r"missing\.csv: cannot be read"):
        find_sources(corpus(tmp_path, "folder", tmp_path / "missing.csv"))


def test_a_corpus_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder \(data\.corpora\.mine\)"):
        find_sources(corpus(tmp_path / "nowhere", "folder"))
    touch(tmp_path, "loose.mp4")
    with pytest.raises(InputError, match=r"no video as the layout 'lrw' has them \(data\.corpora\.mine\)"):
        find_sources(corpus(tmp_path, "lrw"))


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "b/2.mp4")
    root = tmp_path / "root"
    touch(root, "a/1.mp4", "a/.hidden.mp4")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "itself.mp4").symlink_to("itself.mp4")
    assert media_below(root) == ["a/1.mp4", "a/itself.mp4", "linked/b/2.mp4"]


def test_names_of_any_kind_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "a/two\nlines.mp4", "a/'quoted' \"twice\".mp4", "a/日本.mp4")
    (tmp_path / os.fsdecode(b"a/latin-\xe9.mp4")).touch()
    assert set(media_below(tmp_path)) == {
        "a/two\nlines.mp4",
        "a/'quoted' \"twice\".mp4",
        "a/日本.mp4",
        r"a/latin-\xe9.mp4",
    }


def test_a_folder_that_cannot_be_read_is_told_as_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.mp4", "closed/1.mp4")
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert media_below(tmp_path) == ["a/1.mp4", "closed"]
    with pytest.raises(InputError, match="closed: cannot be read"):
        media_below(tmp_path / "closed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,speaker,split\na/1.mp4,x,train\na/1.mp4,y,test\n", "line 3 names 'a/1.mp4' again"),
        ("file,speaker\na/1.mp4,x\n", "has no column 'path', but file, speaker"),
        ("path,speaker\nb/1.mp4,x\n", "line 2 names no video of the corpus: 'b/1.mp4'"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(text: str, said: str, tmp_path: Path) -> None:
    touch(tmp_path, "videos/a/1.mp4")
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=said):
        find_sources(corpus(tmp_path / "videos", "folder", table))


def test_a_table_of_a_spreadsheet(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a/1.mp4")
    table = tmp_path / "table.csv"
    table.write_text("path,speaker,split\na/1.mp4,x,test\n", encoding="utf-8-sig")
    assert splits(corpus(tmp_path / "videos", "folder", table)) == {"a/1.mp4": ("x", "test")}


def test_no_corpus_at_all() -> None:
    with pytest.raises(InputError, match=r"data\.corpora: names none"):
        find_sources(replace(DATA, corpora={}))


OWN = {  # five ways to lay out one's own, and who would be in which split
    "a folder per person": (["ann/1.mp4", "ann/2.mp4", "bob/1.mp4", "eve/1.mp4"], {"ann", "bob", "eve"}),
    "folders in folders": (
        ["ann/monday/1.mp4", "ann/tuesday/1.mp4", "bob/monday/1.mp4", "eve/x/y/1.mp4"],
        {"ann", "bob", "eve"},
    ),
    "a file per person": (["ann.mp4", "bob.mp4", "eve.mp4"], {"ann.mp4", "bob.mp4", "eve.mp4"}),
    "splits, capital": (["Train/ann/1.mp4", "Validation/bob/1.mp4", "Test/eve/1.mp4"], {"ann", "bob", "eve"}),
    "splits, other words": (["training/ann/1.mp4", "dev/bob/1.mp4", "eval/eve/1.mp4"], {"ann", "bob", "eve"}),
}


@pytest.mark.parametrize("name", OWN)
def test_ones_own_videos(tmp_path: Path, name: str) -> None:
    paths, people = OWN[name]
    touch(tmp_path, *paths)
    sources = find_sources(corpus(tmp_path, "folder"))
    assert {source.speaker for source in sources} == people
    assert {source.split for source in sources} == {"train", "val", "test"}
    check_splits(sources)
    if name.startswith("splits"):
        assert {source.speaker: source.split for source in sources} == {"ann": "train", "bob": "val", "eve": "test"}


def test_lrs2_by_its_lists(tmp_path: Path) -> None:
    """Of a speaker in two lists the rarer counts, for all clips: no one is on two sides."""
    clips = {"main": ["s1/1", "s1/2", "s2/1", "s3/1", "s4/1"], "pretrain": ["s1/9", "s3/9", "s5/9"]}
    touch(tmp_path, *(f"mvlrs_v1/{folder}/{clip}.mp4" for folder, of in clips.items() for clip in of))
    for split, lines in {"train": "s1/1\ns3/1", "val": "s2/1 MV", "test": "s3/1 NF\ns4/1 MV"}.items():
        (tmp_path / f"{split}.txt").write_text(lines + "\n")
    found = {(speaker, split) for speaker, split in splits(corpus(tmp_path, "lrs2")).values()}
    assert found == {("s1", "train"), ("s2", "val"), ("s3", "test"), ("s4", "test"), ("s5", "train")}
    (tmp_path / "test.txt").write_text("ghost/1")
    with pytest.raises(InputError, match=r"test\.txt: names no clip that is there, but ghost/1, for instance"):
        find_sources(corpus(tmp_path, "lrs2"))


def test_lrs2_without_lists_and_lrs3(tmp_path: Path) -> None:
    touch(tmp_path / "2", *(f"{folder}/s{n}/1.mp4" for folder in ("main", "pretrain") for n in range(40)))
    of = splits(corpus(tmp_path / "2", "lrs2")).values()
    assert len(set(of)) == 40, "each speaker is in one split, with both folders"
    assert {split for _, split in of} == {"train", "val", "test"}
    touch(
        tmp_path / "3",
        *(f"{folder}/s{n}/1.mp4" for folder in ("trainval", "pretrain") for n in range(40)),
        "test/t/1.mp4",
    )
    of = splits(corpus(tmp_path / "3", "lrs3")).values()
    assert len(set(of)) == 41
    assert {speaker for speaker, split in of if split == "test"} == {"t"}


@pytest.mark.parametrize("kind", ["voxceleb", "lrs3"])
def test_folders_in_capitals_are_the_same_folders(tmp_path: Path, kind: str) -> None:
    names = {"voxceleb": "{}/mp4/s{}/v/1.mp4", "lrs3": "{}/s{}/1.mp4"}[kind]
    train = {"voxceleb": "Dev", "lrs3": "TrainVal"}[kind]
    touch(tmp_path, *(names.format(train, n) for n in range(30)), *(names.format("Test", 100 + n) for n in range(5)))
    of = splits(corpus(tmp_path, kind)).values()
    assert {speaker for speaker, split in of if split == "test"} == {f"s{100 + n}" for n in range(5)}
    assert len(of) == 35


def test_a_wrong_guess_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "lrs2", "main/s1/1.mp4", "pretrain/s1/1.mp4")
    with pytest.raises(InputError, match="as 'folder' has it, 'main' would be a speaker; choose another `kind`"):
        find_sources(corpus(tmp_path / "lrs2", "folder"))
    touch(tmp_path / "twice", "train/ann/1.mp4", "test/ann/1.mp4")
    with pytest.raises(InputError, match="speaker 'ann' is in test and train"):
        find_sources(corpus(tmp_path / "twice", "folder"))
    touch(tmp_path / "two", "train/ann/1.mp4", "test/bob/1.mp4")
    with pytest.raises(InputError, match="no clip is in val"):
        check_splits(find_sources(corpus(tmp_path / "two", "folder")))
    touch(tmp_path / "one", *(f"clips/{n}.mp4" for n in range(30)), "ann/1.mp4", "bob/1.mp4")
    assert strange(find_sources(corpus(tmp_path / "two", "folder"))) == ["mine: nothing of it is in val"]
    (line,) = strange(find_sources(corpus(tmp_path / "one", "folder")))
    assert line == "mine: 30 of 32 files are of one speaker, 'clips'; is that a person?"
