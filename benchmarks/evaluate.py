"""Memory and speed of evaluation over many clips: `python -m benchmarks.evaluate out/tables --clips 100 1000`.

Copies the first frames of a profile's test clips repeatedly, each time under another name, into shards of their own,
and evaluates them as the stage does, on all cores. Prints clips per second and the peak memory of this process and
its workers, for the smaller and the larger number of clips; nothing is asserted here.
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from avcat.data.shards import Landmarks, ShardClip, ShardReader, open_shards, write_shard
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.media.pictures import jpeg
from benchmarks.compute import describe
from benchmarks.memory import peak_memory
from pipelines.cluster import connect
from pipelines.evaluate import evaluate
from stages._params import Params, load

CORPUS = "bench"
CLIPS_PER_SHARD = 100
QUALITY = 95


def main() -> None:
    """Prints a line for each number of clips, and the ratio of their memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a profile's outputs, with shards/, evaluator/ and the method's model")
    parser.add_argument("--clips", type=int, nargs=2, default=(100, 1000), help="fewer, more (default: 100 1000)")
    parser.add_argument("--frames", type=int, default=25, help="of each clip (default: %(default)s)")
    parser.add_argument("--method", default="copy-reference", help="whose figures (default: %(default)s)")
    options = parser.parse_args()
    params = load(options.out.name)
    print(describe("cpu"))
    peaks = []
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as name, connect(params.runtime):
        for count in options.clips:
            folder = Path(name, str(count))
            write(options.out / "shards" / "test", folder / "shards", count, options.frames)
            start = time.perf_counter()
            peaks.append(peak_memory(lambda: run(options.method, options.out, params, folder)))  # noqa: B023
            seconds = time.perf_counter() - start
            print(
                f"{count} clips of {options.frames} frames: {seconds:.0f} s, {count / seconds:.1f} clips/s, "
                f"{peaks[-1] / 1e6:.0f} MB at most",
                flush=True,
            )
            shutil.rmtree(folder)
    print(f"memory: x {peaks[1] / peaks[0]:.2f} for {options.clips[1] / options.clips[0]:g} times the clips")


def run(method: str, out: Path, params: Params, folder: Path) -> None:
    """Scores all clips, as `stages.evaluate` does."""
    checkpoint = out / "train" / method / "model.pt"
    evaluation = evaluate(
        method,
        CORPUS,
        shards=folder / "shards",
        checkpoint=checkpoint if checkpoint.exists() else None,
        evaluator=out / "evaluator" / "model.pt",
        config=replace(params.evaluate, clips_per_corpus=0),
        max_failed_fraction=0.0,
        runtime=params.runtime,
        marks=folder / "marks",
    )
    evaluation.write(folder / "figures")


def write(source: Path, target: Path, count: int, frames: int) -> None:
    """`count` clips in shards, made of the first frames of those in `source` that are long enough."""
    there = [(reader, row) for reader in open_shards(source) for row in range(len(reader))]
    clips = islice(cycle(pair for pair in there if pair[0].frame_count(pair[1]) >= frames), count)
    named = (renamed(reader, row, number, frames) for number, (reader, row) in enumerate(clips))
    for shard in range(0, count, CLIPS_PER_SHARD):
        write_shard(target / f"shard-{shard // CLIPS_PER_SHARD:06d}.tar", islice(named, CLIPS_PER_SHARD))


def renamed(reader: ShardReader, row: int, number: int, frames: int) -> ShardClip:
    """The beginning of a clip under a name of its own; its speaker stays, as there are speakers with many clips."""
    marks = reader.landmarks(row)
    cut = Landmarks(marks.eyes[:frames], marks.mouth[:frames], marks.found[:frames], marks.matrix[:frames])
    jpegs = [jpeg(image, QUALITY) for image in reader.frames(row, 0, frames)]
    meta = {**reader.meta(row), "corpus": CORPUS}
    mel = np.ascontiguousarray(reader.mel(row)[:, : COLUMNS_PER_FRAME * frames])
    return ShardClip(f"clip{number:06d}", meta, jpegs, mel, cut)


if __name__ == "__main__":
    main()
