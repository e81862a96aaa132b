"""How much of the machine preprocessing uses, against what its kernels compute: `python -m benchmarks.preprocess`.

Renders some clips, links each under many names until there are `--seconds` of video, and runs manifest, tracks, mels
and shards on all of them as the stages do: with one worker and with one for each core. Then, by itself, the planning
of 500,000 clips from a table of probes. Prints ratios; nothing is asserted here.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from avcat.data import schema
from avcat.data.inputs import InputConfig
from avcat.synth.corpus import render, wild_people
from benchmarks.memory import peak_memory
from pipelines.cluster import connect, cpu_count
from pipelines.corpora import Source, find_sources
from pipelines.manifest import build_manifest
from pipelines.manifest import plan as plan_clips
from pipelines.mels import compute_mels
from pipelines.settings import DataConfig, SourceConfig
from pipelines.shards import build_shards
from pipelines.tracks import track_clips
from stages._params import Params, load

RENDERED = 40
CLIP_S = 3.5  # of a rendered clip, on average
PLANNED = 500_000


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2000, help="of video (default: %(default)s)")
    parser.add_argument("--profile", default="tiny", help="whose settings (default: %(default)s)")
    options = parser.parse_args()
    params, cores = load(options.profile), cpu_count()
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as name:
        folder = Path(name)
        rendered = render_clips(folder / "rendered")
        with connect(replace(params.runtime, num_cpus=cores)):
            few = corpus_of(rendered, folder / "few", 2 * cores)
            print("start-up: everything on two clips per worker")
            startup = preprocess(params, few, folder / "warm", cores)
            many = corpus_of(rendered, folder / "many", round(options.seconds / CLIP_S))
            runs = {workers: preprocess(params, many, folder / f"run{workers}", workers) for workers in (cores, 1)}
            for stage in runs[cores]:
                report(stage, runs[cores][stage], runs[1][stage], startup[stage], cores)
            report("all", total(runs[cores]), total(runs[1]), total(startup), cores)
            quarter = corpus_of(rendered, folder / "quarter", round(options.seconds / CLIP_S / 4))
            part = peak_memory(lambda: preprocess(params, quarter, folder / "part", cores))
            whole = peak_memory(lambda: preprocess(params, many, folder / "whole", cores))
            print(
                f"peak memory: {part / 1e6:.0f} MB on a quarter of the clips, {whole / 1e6:.0f} MB on all: "
                f"x {whole / part:.2f}"
            )
    planning(params.data)


def render_clips(folder: Path) -> list[Path]:
    """Clips like those of `synth-wild`, each of another person."""
    for spec in wild_people(RENDERED, (3.0, 4.0)):
        render(spec, folder)
    return sorted(folder.rglob("*.mp4"))


def corpus_of(rendered: list[Path], root: Path, count: int) -> Path:
    """`count` clips by linking the rendered ones under other names; one speaker in ten is for val and for test."""
    for number in range(count):
        split = {8: "val", 9: "test"}.get(number % 10, "train")
        if number < 3:
            split = ("train", "val", "test")[number]
        target = root / split / f"speaker{number}" / "clip.mp4"
        target.parent.mkdir(parents=True)
        os.link(rendered[number % len(rendered)], target)
    return root


def preprocess(params: Params, root: Path, out: Path, workers: int) -> dict[str, tuple[float, float]]:
    """Wall and worker seconds of each stage."""
    shutil.rmtree(out, ignore_errors=True)
    data = replace(params.data, corpora={"bench": SourceConfig("folder", str(root), None)})
    runtime = replace(params.runtime, workers=workers)
    manifest, before, state = out / "manifest.parquet", out / "manifest-outcomes.parquet", out / "state"
    inputs = InputConfig(data.crop_size, params.align, params.mel)
    calls: dict[str, Callable[[], dict[str, Any]]] = {
        "manifest": lambda: build_manifest(
            find_sources(data), data, manifest, before, state / "manifest", runtime=runtime
        ),
        "tracks": lambda: track_clips(data, manifest, before, out / "tracks", state / "tracks", runtime=runtime),
        "mels": lambda: compute_mels(params.mel, data, manifest, before, out / "mels", state / "mels", runtime=runtime),
        "shards": lambda: build_shards(
            inputs,
            data.jpeg_quality,
            data.max_failed_fraction,
            manifest=manifest,
            tracks=out / "tracks",
            mels=out / "mels",
            out=out / "shards",
            state=state / "shards",
            runtime=runtime,
        ),
    }
    seconds = {}
    for stage, call in calls.items():
        start = time.monotonic()
        counts = call()
        seconds[stage] = (time.monotonic() - start, counts["worker_cpu_s"])
    return seconds


def total(run: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """Of all stages."""
    return sum(wall for wall, _ in run.values()), sum(cpu for _, cpu in run.values())


def report(
    what: str, many: tuple[float, float], one: tuple[float, float], startup: tuple[float, float], cores: int
) -> None:
    """Start-up is the time for two clips per worker, less that of computing them."""
    start_s = startup[0] - startup[1] / cores
    (wall, cpu), (alone, alone_cpu) = many, one
    print(
        f"{what}: {wall:.1f} s with {cores} workers, of it {start_s:.1f} s start-up; kernels {cpu:.1f} s of processor, "
        f"{cpu / (cores * (wall - start_s)):.2f} of cores x time ({cpu / (cores * wall):.2f} with start-up); "
        f"one worker {alone:.1f} s, kernels {alone_cpu:.1f} s: x {(alone - start_s) / (wall - start_s):.2f}",
        flush=True,
    )


def planning(data: DataConfig) -> None:
    """Plans many clips from a table of probes, in this process."""
    sources = [
        Source("bench", "root", f"train/speaker{n // 20}/{n:07d}.mp4", f"speaker{n // 20}", "train")
        for n in range(PLANNED)
    ]
    names = schema.PROBES.names
    columns: dict[str, Any] = {name: [None] * PLANNED for name in names}
    columns |= {"root": ["root"] * PLANNED, "path": [source.path for source in sources]}
    columns |= {"status": ["ok"] * PLANNED, "reason": [""] * PLANNED, "cuts_s": [[]] * PLANNED}
    columns |= {"duration_s": [3.0 + n % 7 for n in range(PLANNED)], "sha256": ["0" * 64] * PLANNED}
    probes = pa.table(columns, schema=schema.PROBES)
    del columns
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    table, _ = plan_clips(sources, probes, data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"planning {table.num_rows} clips: {time.monotonic() - start:.1f} s, "
        f"the process {peak / 1e6:.2f} GB at its peak ({before / 1e6:.2f} GB before)"
    )


if __name__ == "__main__":
    main()
