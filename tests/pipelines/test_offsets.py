"""Sounds that come early or late are moved, those of another speaker left out; training then uses that."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avcat.data import schema
from avcat.data.shards import Landmarks, ShardClip, write_shard
from avcat.data.windows import ClipStore
from avcat.errors import InputError
from avcat.media.mel import shifted
from avcat.media.pictures import jpeg
from avcat.seeding import rng_of
from pipelines import offsets
from pipelines.offsets import OffsetFinder, OffsetsConfig, find_offsets
from stages._params import load

CONFIG = OffsetsConfig(check=True, max_shift=8, max_offset=4, min_confidence=0.2, correct=True)
FRAMES, SIZE = 40, 16
LEADS = {"a": 0, "b": 3, "c": -2, "d": 6, "e": None}  # frames by which the sound leads; None: another speaker's


def clip(name: str, lead: int | None) -> ShardClip:
    """Every frame's brightness is a random number, and its sound is the same number, moved."""
    level = rng_of("offsets", name).integers(40, 216, FRAMES)
    heard = rng_of("offsets", name, "other").integers(40, 216, FRAMES) if lead is None else level
    mel = np.repeat(heard / 255, 4)[None].repeat(80, 0).astype(np.float32)
    marks = Landmarks(
        np.zeros((FRAMES, 2, 2), np.float32),
        np.zeros((FRAMES, 20, 2), np.float32),
        np.ones(FRAMES, bool),
        np.zeros((FRAMES, 2, 3)),
    )
    pictures = [jpeg(np.full((SIZE, SIZE, 3), value, np.uint8), 95) for value in level]
    meta = {"corpus": "c", "speaker": name, "split": "train"}
    return ShardClip(name, meta, pictures, shifted(mel, -(lead or 0)), marks)


def embed(judge: object, crops: np.ndarray, mel: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """What a perfect SyncNet does: five numbers a window, read off the picture and off the sound."""
    seen = crops[:, 0, 0, 0] / 255
    heard = mel[0, 2::4]
    windows = np.arange(FRAMES - 4)[:, None] + np.arange(5)
    return seen[windows].astype(np.float32), heard[windows].astype(np.float32)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shard(tmp_path / "shard-000000.tar", [clip(name, lead) for name, lead in LEADS.items()])
    return tmp_path


@pytest.fixture
def rows(shards: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    monkeypatch.setattr(offsets, "embed_clip", embed)
    finder = OffsetFinder.__new__(OffsetFinder)
    finder._config, finder._network = CONFIG, None  # type: ignore[assignment]
    return {str(row["clip_id"]): row for row in finder(shards / "shard-000000.tar")}


def test_what_is_found(rows: dict[str, dict[str, object]]) -> None:
    assert {name: row["offset"] for name, row in rows.items() if name != "e"} == {"a": 0, "b": 3, "c": -2, "d": 6}
    assert {name: row["move"] for name, row in rows.items()} == {"a": 0, "b": 3, "c": -2, "d": 0, "e": 0}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "a": "",
        "b": "",
        "c": "",
        "d": "sound and picture apart",
        "e": "sound and picture do not fit",
    }


def test_training_moves_and_leaves_out(rows: dict[str, dict[str, object]], shards: Path, tmp_path: Path) -> None:
    path = tmp_path / "offsets.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows.values()), schema=schema.OFFSETS), path)
    store = ClipStore(shards, image_size=SIZE, cache_bytes=1 << 20, offsets=path)
    assert [row["clip_id"] for row, _, _ in store.rows] == ["a", "b", "c"]
    for place, name in enumerate("abc"):
        true = np.repeat(rng_of("offsets", name).integers(40, 216, FRAMES) / 255, 4)
        inside = slice(12, -8)  # silence has moved in at the ends
        np.testing.assert_allclose(store.mel(place)[0][inside], true[inside], atol=1e-6)


def test_nobody_looks_unless_asked(tmp_path: Path) -> None:
    counts = find_offsets(
        load("test").offsets,
        shards=tmp_path,
        syncnet=tmp_path / "no.pt",
        out=tmp_path / "o.parquet",
        runtime=load("test").runtime,
    )
    assert counts["clips"] == 0
    assert pq.read_table(tmp_path / "o.parquet").schema == schema.OFFSETS


def test_no_shards_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no shards here"):
        find_offsets(
            CONFIG, shards=tmp_path, syncnet=tmp_path / "no.pt", out=tmp_path / "o", runtime=load("test").runtime
        )
