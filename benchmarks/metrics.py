"""Frames per second of every metric, and memory over many clips: `python -m benchmarks.metrics out/tiny`.

Repeats the test clips of a profile until `--clips` are scored, the copied reference against the truth,
each metric by itself, in one process. Networks without given weights are timed with random ones: their speed is the
same. Prints a Markdown table and the process's memory after a tenth of the clips and after all; nothing is asserted.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torchvision.models import alexnet

from avcat.checkpoint import load_model
from avcat.data.shards import open_shards
from avcat.face.landmarks import MediaPipeDetector
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics import image
from avcat.metrics.drawers import CopyReference
from avcat.metrics.embed import embed_clip
from avcat.metrics.lse import SAMPLES_PER_FRAME, OfficialSyncNet, load_official, score_clip
from avcat.metrics.marks import Marker
from avcat.metrics.perceptual import Perceptual
from avcat.metrics.sync import sync_scores

BATCH_FRAMES, MAX_SHIFT = 32, 15


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a profile's outputs, with shards/ and evaluator/model.pt")
    parser.add_argument("--clips", type=int, default=40, help="to score (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch; a worker has one (default: %(default)s)")
    parser.add_argument("--syncnet", help="the official SyncNet's weights (default: random ones)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    readers = open_shards(options.out / "shards" / "test")
    clips = [(reader, number) for reader in readers for number in range(len(reader))]
    official = load_official(options.syncnet) if options.syncnet else OfficialSyncNet().eval().requires_grad_(False)
    judge = load_model(options.out / "evaluator" / "model.pt", SyncNet)[0]
    marker, lpips = Marker(MediaPipeDetector()), random_lpips()
    seconds: dict[str, float] = defaultdict(float)
    frames, memory = 0, []

    def timed(name: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        seconds[name] += time.perf_counter() - start
        return result

    for done, (reader, number) in enumerate(islice(cycle(clips), options.clips), 1):
        truth = timed("reading the truth", lambda: reader.frames(number))  # noqa: B023  # called at once
        mel = reader.mel(number)
        drawn = CopyReference().draw(truth, mel)
        score(timed, truth, drawn, mel, marker, judge, official, lpips)
        frames += len(truth)
        if done in (max(1, options.clips // 10), options.clips):
            memory.append(psutil.Process().memory_info().rss / 1e6)
    print("| metric | frames per second |\n|---|---:|")
    for name, spent in seconds.items():
        print(f"| {name} | {frames / spent:.0f} |")
    print(
        f"\n{options.clips} clips, {frames} frames; {memory[0]:.0f} MB after a tenth of the clips, "
        f"{memory[-1]:.0f} MB after all"
    )


def score(
    timed: Callable[[str, Callable[[], Any]], Any],
    truth: np.ndarray,
    drawn: np.ndarray,
    mel: np.ndarray,
    marker: Marker,
    judge: Any,
    official: OfficialSyncNet,
    lpips: Perceptual,
) -> None:
    """Every metric of one clip."""
    sound = np.random.default_rng(0).normal(0, 0.1, len(truth) * SAMPLES_PER_FRAME)
    timed("SSIM", lambda: image.ssim(truth, drawn))
    timed("PSNR", lambda: image.psnr(truth, drawn))
    timed("PSNR uint8", lambda: image.psnr_uint8_legacy(truth, drawn))
    marks = timed("LMD and opening (Face Mesh)", lambda: marker.find(drawn))
    timed("evaluator SyncNet", lambda: sync_scores(*embed_clip(judge, drawn, mel, BATCH_FRAMES), MAX_SHIFT))
    timed("official SyncNet", lambda: score_clip(official, drawn, marks.box, sound))
    timed("LPIPS", lambda: lpips(truth, drawn))


def random_lpips() -> Perceptual:
    """LPIPS with random weights: as fast as with the trained ones."""
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as folder:
        path = Path(folder, "alexnet.pth")
        torch.save(alexnet(weights=None).state_dict(), path)
        return Perceptual(path, BATCH_FRAMES)


if __name__ == "__main__":
    main()
