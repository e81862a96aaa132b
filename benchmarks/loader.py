"""How fast training samples are read, against only decoding the same JPEGs: `python -m benchmarks.loader`.

Writes shards of rendered crops, reads batches of windows from them with nothing cached, one thread per core, and
decodes as many of their JPEGs from memory, by the same decoder into one picture, with as many threads. Prints frames
per second of both, and their ratio.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avcat.data.shards import Landmarks, ShardClip, decode_jpeg, open_shards, write_shard
from avcat.data.windows import ClipStore, WindowSampler
from avcat.media.pictures import jpeg
from avcat.synth.corpus import take_of, wild_people
from pipelines.cluster import cpu_count

SIZE, QUALITY, CLIPS, BATCH = 256, 95, 16, 8


@dataclass
class Speed:
    """Frames, and the seconds that they took."""

    frames: int
    seconds: float

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds


def main() -> None:
    """Measures both in turn, several times, and prints the best of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=150, help="of %(default)s batches each time", metavar="N")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="default: one per core (%(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as name:
        write_clips(Path(name))
        rounds = [(loader(Path(name), options), decoding(Path(name), options)) for _ in range(3)]
    best, bound = max(a.rate for a, _ in rounds), max(b.rate for _, b in rounds)
    print(
        f"{options.threads} threads, {SIZE} px: loader {best:.0f} frames/s, "
        f"only decoding {bound:.0f} frames/s: x {best / bound:.2f}"
    )


def write_clips(folder: Path) -> None:
    """One shard of rendered clips, uncropped: a JPEG is a JPEG."""
    clips = []
    for spec in wild_people(CLIPS, (3.0, 4.0), size=SIZE):
        pictures = [cv2.resize(picture, (SIZE, SIZE)) for picture in take_of(spec).pictures()]
        n = len(pictures)
        marks = Landmarks(
            np.zeros((n, 2, 2), np.float32), np.zeros((n, 20, 2), np.float32), np.ones(n, bool), np.zeros((n, 2, 3))
        )
        meta = {"corpus": "bench", "speaker": spec.path.as_posix()}
        jpegs = [jpeg(picture, QUALITY) for picture in pictures]
        clips.append(ShardClip(f"{len(clips):016x}", meta, jpegs, np.zeros((80, 4 * n), np.float32), marks))
    write_shard(folder / "shard-000000.tar", clips)


def loader(folder: Path, options: argparse.Namespace) -> Speed:
    """Windows of five frames and a reference each, in batches."""
    store = ClipStore(folder, image_size=SIZE, cache_bytes=0, threads=options.threads)
    sampler = WindowSampler(store, seed=0, clips=BATCH)
    start = time.monotonic()
    frames = sum(batch.frames.shape[0] * 6 for batch in sampler.prefetch(0, options.batches))
    return Speed(frames, time.monotonic() - start)


def decoding(folder: Path, options: argparse.Namespace) -> Speed:
    """As many JPEGs of the same shard from memory."""
    jpegs = []
    for reader in open_shards(folder):
        data = reader.path.read_bytes()
        for row in reader.clips.to_pylist():
            jpegs += [data[o : o + n] for o, n in zip(row["jpeg_offsets"], row["jpeg_sizes"], strict=True)]
    count = options.batches * BATCH * 6
    order = np.random.default_rng(0).integers(0, len(jpegs), count)

    def work(part: np.ndarray) -> None:
        out = np.empty((SIZE, SIZE, 3), np.uint8)
        for number in part:
            decode_jpeg(jpegs[number], out)

    start = time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:
        list(pool.map(work, np.array_split(order, options.threads)))
    return Speed(count, time.monotonic() - start)


if __name__ == "__main__":
    main()
