"""What fitting to a person gains: `python -m benchmarks.fit FOLDER --model out/tiny/train/full/model.pt`.

The model is fitted to the first half of each video in the folder (`avcat fit`, which holds out the end of it to know
when to stop), and redraws the longest stretch of the second half, with its own sound, before and after fitting.
Printed for each: SSIM, LMD in px of the 256 px crop and the mouth opening's correlation with the truth, before and
after; and how many clips gained. Nothing is asserted here.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from avcat.checkpoint import load_model
from avcat.dubbing.fit import STEPS, divided, fit_network
from avcat.dubbing.portrait import unusualness
from avcat.dubbing.stretches import stretches
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.inference.redraw import Redrawer
from avcat.media.mel import COLUMNS_PER_FRAME, mel_windows
from avcat.methods.avcat.model import AVCAT
from avcat.metrics.image import ssim
from avcat.metrics.landmarks import lmd, opening_correlation
from avcat.metrics.marks import Marker
from benchmarks.compute import describe

MOST_FRAMES = 1_500  # of a video: a minute
Stretch = tuple[np.ndarray, np.ndarray]  # crops uint8 [T, S, S, 3], mels float32 [bands, 4 T]


class Score(NamedTuple):
    """How well a stretch was redrawn."""

    ssim: float
    lmd: float
    correlation: float
    true_opening: np.ndarray  # float64 [T], less its mean
    opening: np.ndarray  # as drawn


def main() -> None:
    """Prints a line for each video as soon as it is known, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="videos of one person each")
    parser.add_argument("--model", type=Path, required=True, help="a model file of AV-CAT")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="videos whose names contain one of these (default: all)"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="at most (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="clips at a time, which share the cores (default: 1)")
    options = parser.parse_args()
    print(describe("cpu"))
    print("clip, frames learnt from / scored, steps (best), seconds: SSIM, LMD, r of the opening, before -> after")
    paths = [path for path in sorted(options.folder.iterdir()) if any(part in path.name for part in options.only)]
    threads, spawn = max(1, (os.cpu_count() or 1) // options.jobs), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, spawn, torch.set_num_threads, (threads,)) as pool:
        measured = list(pool.map(measure, paths, [options.model] * len(paths), [options.steps] * len(paths)))
    befores, afters = zip(*measured, strict=True)
    better = [(after.ssim > before.ssim, after.lmd < before.lmd) for before, after in measured]
    ssims, lmds, both = (sum(each) for each in zip(*((a, b, a and b) for a, b in better), strict=True))
    print(f"of {len(measured)} clips SSIM is better on {ssims}, LMD on {lmds}, both on {both}")
    true_openings = np.concatenate([score.true_opening for score in befores])
    for name, scores in (("before", befores), ("after", afters)):
        pooled = opening_correlation(true_openings, np.concatenate([score.opening for score in scores]))
        print(
            f"{name}: r of all openings together {pooled:.3f}, mean of the clips' r "
            f"{np.nanmean([score.correlation for score in scores]):.3f}"
        )


def measure(path: Path, model: Path, steps: int) -> tuple[Score, Score]:
    """Fits and scores one video."""
    start_s, detector = time.perf_counter(), MediaPipeDetector()
    network, file = load_model(model, AVCAT)
    crop_size, size = file.inputs.crop_size, network.config.image_size
    parts = list(stretches(path, file.inputs, crop_size, detector, MOST_FRAMES))
    first, second = halves(parts)
    train, held_out = divided([(smaller(crops, size), mel) for crops, mel in first], size)
    if not len(train):
        raise InputError(f"{path}: its first half is too short")
    scored = max(second, key=lambda part: len(part[0]))
    truth = Marker(detector).find(scored[0])
    before = score(Redrawer(network, file.inputs, device="cpu", batch_frames=8), scored, truth.mouth, truth.opening)
    done = fit_network(network, train, held_out, steps=steps)
    after = score(Redrawer(network, file.inputs, device="cpu", batch_frames=8), scored, truth.mouth, truth.opening)
    print(
        f"{path.name}, {done.frames + done.held_out} / {len(scored[0])}, {done.steps} ({done.best_step}), "
        f"{time.perf_counter() - start_s:.0f} s: {before.ssim:.4f} -> {after.ssim:.4f}, "
        f"{before.lmd:.2f} -> {after.lmd:.2f} px, {before.correlation:.2f} -> {after.correlation:.2f}",
        flush=True,
    )
    return before, after


def halves(parts: Sequence[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    """The first and the second half of all frames; a stretch that reaches over the middle is cut there."""
    left, first, second = sum(len(crops) for crops, _ in parts) // 2, [], []
    for crops, mel in parts:
        cut = min(left, len(crops))
        left -= cut
        if cut:
            first.append((crops[:cut], mel[:, : COLUMNS_PER_FRAME * cut]))
        if cut < len(crops):
            second.append((crops[cut:], mel[:, COLUMNS_PER_FRAME * cut :]))
    return first, second


def smaller(crops: np.ndarray, size: int) -> np.ndarray:
    """uint8 [T, S, S, 3] -> [T, size, size, 3], as `stretches` would have given them."""
    return np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops])


def score(redrawer: Redrawer, stretch: Stretch, mouth: np.ndarray, opening: np.ndarray) -> Score:
    """Redraws a stretch with the frame as the reference that dubbing would take, which is not scored."""
    crops, mel = stretch
    reference = int(unusualness(mouth).argmin())
    scored = np.arange(len(crops)) != reference
    drawn = redrawer.redraw(crops, mel_windows(mel, np.arange(len(crops))), redrawer.encode_reference(crops[reference]))
    marks = Marker(MediaPipeDetector()).find(drawn)
    drawn_opening = marks.opening[scored]
    return Score(
        float(ssim(crops[scored], drawn[scored]).mean()),
        float(np.nanmean(lmd(mouth[scored], marks.mouth[scored]))),
        opening_correlation(opening[scored], drawn_opening),
        opening[scored] - np.nanmean(opening[scored]),
        drawn_opening - np.nanmean(drawn_opening),
    )


if __name__ == "__main__":
    main()
