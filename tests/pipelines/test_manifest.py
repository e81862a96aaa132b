"""From probed files to clips: time ranges, ids, shards; and a file is probed once."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from videos import write_video

from avcat.data import schema
from pipelines.clips import Rows, by_shard
from pipelines.corpora import Source, find_sources
from pipelines.manifest import clip_id, plan, time_ranges
from pipelines.parallel import Usage
from pipelines.probe import probe_files
from pipelines.settings import SourceConfig
from stages._params import load

PARAMS = load("test")
RUNTIME = replace(PARAMS.runtime, num_cpus=2, workers=2)


def probes(*rows: dict[str, Any]) -> pa.Table:
    usual = {
        "root": "root",
        "size": 1,
        "mtime_ns": 1,
        "status": "ok",
        "reason": "",
        "duration_s": 2.0,
        "fps": 25.0,
        "width": 64,
        "height": 64,
        "audio_rate": 16_000,
        "sha256": "0" * 64,
        "cuts_s": [],
    }
    return pa.Table.from_pylist([{**usual, **row} for row in rows], schema=schema.PROBES)


def source(path: str, split: str = "train") -> Source:
    return Source("mine", "root", path, path.split("/")[0], split)


def test_a_short_video_is_one_clip() -> None:
    assert list(time_ranges(3.0, [], 20.0)) == [(0.0, 3.0)]
    assert list(time_ranges(20.0, [], 20.0)) == [(0.0, 20.0)]


def test_a_long_video_becomes_even_parts_of_each_shot() -> None:
    assert list(time_ranges(50.0, [], 20.0)) == [(0.0, 16.68), (16.68, 33.32), (33.32, 50.0)]
    assert list(time_ranges(30.0, [4.0, 26.013], 20.0)) == [
        (0.0, 4.0),
        (4.0, pytest.approx(15.0)),
        (pytest.approx(15.0), 26.013),
        (26.013, 30.0),
    ]


def test_parts_begin_on_the_grid_and_cover_the_video() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        duration = float(rng.uniform(0.1, 300))
        cuts = sorted(rng.uniform(0, duration, rng.integers(0, 5)).tolist())
        ranges = list(time_ranges(duration, cuts, 7.3))
        assert ranges[0][0] == 0
        assert ranges[-1][1] == duration
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
        assert all(end - start <= 7.3 + 0.04 for start, end in ranges)
        for start, _ in ranges:
            shot = max(cut for cut in (0.0, *cuts) if cut <= start + 1e-9)
            assert (start - shot) * 25 == pytest.approx(round((start - shot) * 25), abs=1e-6)


def test_the_plan_has_a_row_for_every_file() -> None:
    sources = [source("a/1.mp4"), source("a/2.mp4"), source("b/3.mp4", "val"), source("c/4.mp4", "test")]
    table, ends = plan(
        sources,
        probes(
            {"path": "a/1.mp4", "duration_s": 45.0},
            {"path": "a/2.mp4", "status": "rejected", "reason": "no sound"},
            {"path": "b/3.mp4", "status": "failed", "reason": "root/b/3.mp4: the file is empty"},
            {"path": "c/4.mp4", "audio_rate": 44_100},
        ),
        PARAMS.data,
    )
    assert [(end.path, end.status, end.reason) for end in ends] == [
        ("a/1.mp4", "ok", ""),
        ("a/1.mp4", "ok", ""),
        ("a/1.mp4", "ok", ""),
        ("a/2.mp4", "rejected", "no sound"),
        ("b/3.mp4", "failed", "root/b/3.mp4: the file is empty"),
        ("c/4.mp4", "ok", ""),
    ]
    rows = table.to_pylist()
    assert table.schema == schema.MANIFEST
    assert {(row["path"], row["start_s"], row["end_s"]) for row in rows} == {
        ("a/1.mp4", 0.0, 15.0),
        ("a/1.mp4", 15.0, 30.0),
        ("a/1.mp4", 30.0, 45.0),
        ("c/4.mp4", 0.0, 2.0),
    }
    assert len({row["clip_id"] for row in rows}) == 4
    (whole,) = [row for row in rows if row["path"] == "c/4.mp4"]
    assert (whole["clip_id"], whole["speaker"], whole["split"]) == (clip_id(sources[3]), "c", "test")
    assert whole["audio_rate"] == 44_100


def test_shards_are_assigned_by_id_whatever_the_order() -> None:
    names = [f"{n:02d}" for n in range(10)]
    sources = [source(f"{name}/1.mp4", "train" if n % 2 else "val") for n, name in enumerate(names)]
    rows = [{"path": s.path} for s in sources]
    config = replace(PARAMS.data, clips_per_shard=2)
    table, _ = plan(sources, probes(*rows), config)
    other, _ = plan(sources[::-1], probes(*rows[::-1]), config)
    assert table.equals(other)
    assert table["shard"].to_pylist() == [0, 0, 1, 1, 2] * 2
    assert table["split"].to_pylist() == ["train"] * 5 + ["val"] * 5
    for split in ("train", "val"):
        ids = table.filter(pa.compute.equal(table["split"], split))["clip_id"].to_pylist()
        assert ids == sorted(ids)
    groups = by_shard(Rows(table))
    assert {name: len(rows) for name, rows in groups.items()} == {
        "train-000000": 2,
        "train-000001": 2,
        "train-000002": 1,
        "val-000000": 2,
        "val-000001": 2,
        "val-000002": 1,
    }
    assert [row for rows in groups.values() for row in rows.table.to_pylist()] == table.to_pylist()


def test_rows_are_a_sequence() -> None:
    rows = Rows(pa.table({"a": list(range(5))}))
    assert [row["a"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["a"] for row in rows[1:3]] == [1, 2]
    assert len(rows[4:]) == 1


def test_no_clip_at_all_is_an_empty_manifest() -> None:
    assert plan([], probes(), PARAMS.data)[0].num_rows == 0
    assert by_shard(Rows(schema.MANIFEST.empty_table())) == {}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    for name in ("a/1.mp4", "b/2.mp4", "c/3.mp4"):
        write_video(root / name, 30, sound=True)
    (root / "c" / "broken.mp4").write_bytes(b"no video")
    return root


def test_files_are_probed_once(corpus: Path, tmp_path: Path, ray_instance: None) -> None:
    data = replace(PARAMS.data, corpora={"mine": SourceConfig("folder", str(corpus), None)})

    def probed() -> tuple[pa.Table, int]:
        asked = [0]

        def progress(done: int, total: int) -> None:
            asked[0] = total

        table = probe_files(
            find_sources(data), data, tmp_path / "state", runtime=RUNTIME, usage=Usage(), progress=progress
        )
        return table, asked[0]

    first, asked = probed()
    assert asked == 4
    assert first["status"].to_pylist() == ["ok", "ok", "ok", "rejected"]
    assert first["width"].to_pylist() == [64, 64, 64, None]
    again, asked = probed()
    assert asked == 0
    assert again.equals(first)
    write_video(corpus / "a" / "1.mp4", 40, sound=True)
    write_video(corpus / "d" / "4.mp4", 30, sound=True)
    changed, asked = probed()
    assert asked == 2
    assert changed["duration_s"].to_pylist()[0] == pytest.approx(1.6, abs=0.05)
    assert changed["path"].to_pylist() == ["a/1.mp4", "b/2.mp4", "c/3.mp4", "c/broken.mp4", "d/4.mp4"]
    (corpus / "b" / "2.mp4").unlink()
    fewer, asked = probed()
    assert asked == 0
    assert fewer.num_rows == 4


def test_what_failed_is_probed_again(corpus: Path, tmp_path: Path, ray_instance: None) -> None:
    data = replace(PARAMS.data, corpora={"mine": SourceConfig("folder", str(corpus), None)})
    gone = Source("mine", str(corpus), "a/gone.mp4", "a", "train")
    asked: list[tuple[int, int]] = []

    def progress(*counts: int) -> None:
        asked.append(counts)  # type: ignore[arg-type]

    for turn in (1, 2):
        table = probe_files([gone], data, tmp_path / "state", runtime=RUNTIME, usage=Usage(), progress=progress)
        assert table["reason"].to_pylist() == [f"{corpus}/a/gone.mp4: no such file"]
        assert table["status"].to_pylist() == ["failed"]
        assert asked == [(1, 1)] * turn
