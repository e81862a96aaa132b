"""The whole data plane in one call, for the tests of this folder; also a program, for those that kill it."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from avcat.data.inputs import InputConfig
from avcat.files import located
from avcat.synth.corpus import CorpusConfig, SpeakersConfig, plan, render
from pipelines.cluster import connect
from pipelines.corpora import find_sources
from pipelines.manifest import build_manifest
from pipelines.mels import compute_mels
from pipelines.settings import DataConfig, RuntimeConfig, SourceConfig
from pipelines.shards import build_shards
from pipelines.tracks import track_clips
from stages._params import load

PARAMS = load("test")
INPUTS = InputConfig(PARAMS.data.crop_size, PARAMS.align, PARAMS.mel)
OUTCOMES = "manifest-outcomes.parquet"


def runtime(workers: int = 2, **over: Any) -> RuntimeConfig:
    return replace(PARAMS.runtime, num_cpus=2, workers=workers, device="cpu", threads=1, **over)


def data_of(root: Path | str, **over: Any) -> DataConfig:
    settings = {"clips_per_shard": 3, "max_failed_fraction": 0.2, **over}
    return replace(PARAMS.data, corpora={"mine": SourceConfig("folder", str(root), None)}, **settings)


def render_words(folder: Path, train: int, *, seed: int) -> Path:
    """A `synth-words` of `train` speakers, one for val and one for test, one clip each; returns its root."""
    speakers = SpeakersConfig(train=train, val=1, test=1, clips_per_speaker=1)
    no_one = SpeakersConfig(train=0, val=0, test=0, clips_per_speaker=1)
    for spec in plan(CorpusConfig(seed, 256, speakers, no_one, (3.0, 3.1))):
        render(spec, folder)
    return folder / "synth-words"


def preprocess(data: DataConfig, out: Path, run: RuntimeConfig) -> dict[str, Any]:
    """All stages of the data plane, as `stages` calls them; their counts. Probes of files stay in the state."""
    manifest, before, state = out / "manifest.parquet", out / OUTCOMES, out / "state"
    counts = {
        "manifest": build_manifest(find_sources(data), data, manifest, before, state / "manifest", runtime=run),
        "tracks": track_clips(data, manifest, before, out / "tracks", state / "tracks", runtime=run),
        "mels": compute_mels(PARAMS.mel, data, manifest, before, out / "mels", state / "mels", runtime=run),
    }
    return counts | {"shards": make_shards(out, run, data.max_failed_fraction)}


def make_shards(out: Path, run: RuntimeConfig, max_failed_fraction: float) -> dict[str, Any]:
    return build_shards(
        INPUTS,
        PARAMS.data.jpeg_quality,
        max_failed_fraction,
        manifest=out / "manifest.parquet",
        tracks=out / "tracks",
        mels=out / "mels",
        out=out / "shards",
        state=out / "state" / "shards",
        runtime=run,
    )


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of all files that are no state, by their path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "state"
    }


if __name__ == "__main__":  # python plane.py ROOT OUT
    with connect(runtime()):
        preprocess(data_of(sys.argv[1]), located(sys.argv[2]), runtime())
