"""The manifest: every clip of every corpus, probed but not decoded, with its split and its place among the shards.

A corpus is a folder of `<split>/<speaker>/.../<name>.<video>`. Clip ids come from the names, shards from the ids, so
neither depends on who finishes first or where the folder lies.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avcat.config import DataConfig, RuntimeConfig
from avcat.data import schema
from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.media.video import probe
from pipelines.outcome import Rejected, check_failures, outcome_of, summary, write_outcomes
from pipelines.parallel import Progress, parallel

SPLITS = ("train", "val", "test")
VIDEO_SUFFIXES = (
    ".3gp",
    ".avi",
    ".flv",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".ogv",
    ".webm",
    ".wmv",
)


@dataclass(frozen=True)
class Source:
    """A video file found in a corpus."""

    corpus: str
    root: str
    path: str  # below the root, with forward slashes

    @property
    def split(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def speaker(self) -> str:
        return self.path.split("/")[1]

    @property
    def clip_id(self) -> str:
        """16 hex digits: unique, and safe as a file name."""
        return hashlib.blake2s(f"{self.corpus}/{self.path}".encode(), digest_size=8).hexdigest()


def build_manifest(
    config: DataConfig, path: Path, outcomes: Path, *, runtime: RuntimeConfig, progress: Progress | None = None
) -> dict[str, Any]:
    """Writes `schema.MANIFEST` of the clips that can be used and `schema.OUTCOME` of all; returns the counts.

    Ray must be connected. Raises InputError where a corpus is missing or too many clips fail.
    """
    sources = [source for name, root in sorted(config.corpora.items()) for source in find_videos(name, root)]
    rows, ends = [], []
    here = {"here": Path.cwd()}  # roots stay as params name them; workers need not run where we do
    for position, result in parallel(sources, Prober, here, workers=runtime.workers, progress=progress):
        source = sources[position]
        ends.append(outcome_of(source.clip_id, source.corpus, source.split, result))
        if ends[-1].status == "ok":
            rows.append(result)
    check_failures(ends, config.max_failed_fraction)
    with atomic_path(path) as part:
        pq.write_table(pa.Table.from_pylist(assign_shards(rows, config.clips_per_shard), schema=schema.MANIFEST), part)
    write_outcomes(outcomes, ends)
    counts = summary(ends)
    return {"clips": counts["clips"], "rejected": counts["rejected"], "video_s": sum(row["duration_s"] for row in rows)}


def find_videos(corpus: str, root: str) -> list[Source]:
    """The videos of a corpus, sorted. Raises InputError where the folder is missing or holds none in its place."""
    if not Path(root).is_dir():
        raise InputError(f"{root}: no such folder (data.corpora.{corpus})")
    paths = sorted(path.relative_to(root) for path in Path(root).rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    sources = [
        Source(corpus, root, path.as_posix()) for path in paths if len(path.parts) > 2 and path.parts[0] in SPLITS
    ]
    if not sources:
        raise InputError(f"{root}: no video at <{'|'.join(SPLITS)}>/<speaker>/<name>.mp4 (data.corpora.{corpus})")
    return sources


class Prober:
    """The worker: one row of the manifest for one source, without its shard."""

    def __init__(self, here: Path) -> None:
        self._here = here

    def __call__(self, source: Source) -> dict[str, Any]:
        path = self._here / source.root / source.path
        info = probe(path)
        if not info.has_audio:
            raise Rejected("no sound")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "clip_id": source.clip_id,
            "corpus": source.corpus,
            "path": source.path,
            "root": source.root,
            "speaker": source.speaker,
            "split": source.split,
            "start_s": 0.0,
            "end_s": info.duration_s,
            "duration_s": info.duration_s,
            "fps": float(info.fps),
            "width": info.width,
            "height": info.height,
            "audio_rate": info.audio_rate,
            "sha256": sha256,
        }


def assign_shards(rows: Sequence[Mapping[str, Any]], clips_per_shard: int) -> list[dict[str, Any]]:
    """The rows by split and clip id, each with its shard: so many clips a shard, corpora and speakers mixed.

    Ids are hashes, so their order is a fixed shuffle.
    """
    by_split: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["clip_id"]):
        by_split[row["split"]].append(row)
    return [
        {**row, "shard": rank // clips_per_shard}
        for split in SPLITS
        for rank, row in enumerate(by_split.get(split, []))
    ]


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The rows of a manifest. Raises InputError where there is none."""
    try:
        return pq.read_table(path, schema=schema.MANIFEST).to_pylist()  # type: ignore[no-any-return]
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {error}".splitlines()[0]) from error


def video_path(row: Mapping[str, Any], here: Path) -> Path:
    """The absolute path of a row's video, `here` being the folder that its root counts from."""
    return here / row["root"] / row["path"]


def by_shard(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each shard by its name, `train-000000`, both in order."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[f"{row['split']}-{row['shard']:06d}"].append(row)
    return dict(groups)
