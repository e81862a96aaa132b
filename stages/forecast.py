"""`python -m stages.forecast`: how long the rest of a reproduction will take on this machine.

Trainings are measured: a few steps of each network that is to be trained, on noise. All else is computed from
its time on a known machine and how much longer a rendered clip takes here than there.
"""

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from avcat.data.schema import FPS
from avcat.errors import InputError
from stages._main import main
from stages._params import Params, load

# Of two cores of an AMD EPYC (Zen 4), 30 November 2026; all except STAGE_S in seconds of one core.
STAGE_S = 10.0  # to start a stage: Python, MLflow, Ray's workers, DVC's hashes
PER_VIDEO_S = {"corpus": 0.21, "manifest": 0.0, "tracks": 0.16, "mels": 0.01, "shards": 0.09}
PER_SCORED_FRAME = 0.04  # of detection, sync and image metrics, besides drawing
RENDERED_S, RENDER_TOOK_S = 2.0, 0.32  # a clip that is rendered to compare machines
DRAWN_STEPS = 0.35  # the time to draw a frame over the time to train on it
ORDER = ("corpus", "manifest", "tracks", "mels", "shards", "syncnet", "evaluator", "offsets")  # then by rows
WORD_S = 1.25  # a clip of synth-words, on average
LOOK_S = 1.0  # how long the load of other programs is measured
TIMED_STEPS = 2
SLOW_STEP_S = 10.0  # a step that takes longer is timed once


def forecast(params: Params, stale: Iterable[str], rows: Sequence[str]) -> str:
    """The forecast before the stages in `stale` (as DVC names them) run: machine, precision, time.

    `rows` are the methods that are trained.
    """
    from avcat.nn.precision import quickest, resolved  # torch, which takes a while
    from avcat.training.threads import TOLERATED, Threads, used_by_others
    from pipelines.cluster import cpu_count
    from pipelines.resources import with_device

    runtime = with_device(params.runtime)
    cores, others = runtime.num_cpus or cpu_count(), used_by_others(LOOK_S)
    Threads(runtime.threads).give_way(others)  # as the trainings will
    waiting = with_dependents(stale)
    concerned = [(kind, row or kind) for kind, _, row in (stage.partition("@") for stage in waiting)]
    trainings: dict[str, Any] = {"syncnet": params.syncnet, "evaluator": params.evaluator}
    trainings |= {row: params.row(row).training for row in rows}
    methods = {row: params.row(row).method for row in rows}
    steps = {
        name: step_s(methods.get(name, "syncnet"), config, params, runtime.device)
        for name, config in trainings.items()
        if any(name == row for _, row in concerned)
    }
    seconds = STAGE_S * len(waiting) + preparing_s(params, waiting, cores)
    for kind, row in concerned:
        if kind in ("evaluate", "evaluate-bound"):
            drawn = steps.get(row, 0.0) / frames_per_step(trainings.get(row, params.train))
            seconds += scored_frames(params) * (PER_SCORED_FRAME / cores + DRAWN_STEPS * drawn)
        elif row in steps:
            seconds += steps[row] * left(trainings[row], params, row)
    number = f"{len(waiting)} stage{'s' if len(waiting) != 1 else ''}"
    where = f"{cores} cores" if runtime.device == "cpu" else f"a GPU and {cores} cores"
    used = sorted({resolved(trainings[name].optimiser.precision, runtime.device) for name in steps})
    slow = runtime.device == "cpu" and quickest("cpu") != "bf16"
    why = "; this processor has no instructions for bf16" if slow else ""
    how = f", in {' and '.join(used)}{why}" if used else ""
    said = f"{number} on {where}{how}: about {rounded(seconds)}"
    if others > TOLERATED:
        said += f"\nother programs use {others:.1f} of the {cores} cores; without them it would be faster"
    return said


def left(config: Any, params: Params, name: str) -> int:
    """The steps of a training that its newest checkpoint has not done."""
    from avcat.training.loop import checkpoints

    state = params.state / (name if name in ("syncnet", "evaluator") else f"train/{name}")
    done = max((int(path.stem.removeprefix("step-")) for path in checkpoints(state)), default=0)
    return max(0, int(config.optimiser.steps) - done)


def preparing_s(params: Params, waiting: Iterable[str], cores: int) -> float:
    """Seconds of the stages before the trainings, which grow with the seconds of video."""
    per_video_s = sum(PER_VIDEO_S.get(stage, 0.0) for stage in waiting)
    if not per_video_s:
        return 0.0
    return seconds_of_video(params) * per_video_s * rendering_took() / RENDER_TOOK_S / cores


def with_dependents(stale: Iterable[str]) -> list[str]:
    """Stale stages, and those that have to run again once these have run, which DVC cannot know yet."""
    found = list(stale)
    first = min((ORDER.index(stage) for stage in found if stage in ORDER), default=len(ORDER))
    return found + [stage for stage in ORDER[first + 1 :] if stage not in found]


def rendering_took() -> float:
    """Seconds of this process that a short rendered clip takes, the faster of two."""
    from avcat.synth.corpus import render, wild_people

    took = []
    with tempfile.TemporaryDirectory(prefix="avcat-") as folder:
        for seed in range(2):
            (spec,) = wild_people(1, (RENDERED_S, RENDERED_S))
            start = time.process_time()
            render(replace(spec, width=256, height=256), Path(folder, str(seed)))
            took.append(time.process_time() - start)
    return min(took)


def seconds_of_video(params: Params) -> float:
    """From the manifest; before there is one, what the corpora that we render will have."""
    from pipelines.clips import read_manifest, video_seconds

    manifest = params.out / "manifest.parquet"
    if manifest.exists():
        return sum(video_seconds(read_manifest(manifest)))
    words, wild = (
        (part.train + part.val + part.test) * part.clips_per_speaker
        for part in (params.corpus.words, params.corpus.wild)
    )
    return words * WORD_S + wild * sum(params.corpus.wild_seconds) / 2


def scored_frames(params: Params) -> float:
    """Frames per evaluation, of all corpora: from the manifest, or before there is one of those that we render."""
    from pipelines.clips import read_manifest, video_seconds

    most, manifest = params.evaluate.clips_per_corpus or math.inf, params.out / "manifest.parquet"
    if manifest.exists():
        clips, lasts = read_manifest(manifest), defaultdict(list)
        for clip, seconds in zip(clips, video_seconds(clips), strict=True):
            if clip["split"] == "test":
                lasts[clip["corpus"]].append(seconds)
        return sum(FPS * fmean(of) * min(len(of), most) for of in lasts.values())
    corpus = params.corpus
    rendered = ((corpus.words, WORD_S), (corpus.wild, sum(corpus.wild_seconds) / 2))
    return sum(FPS * seconds * min(part.test * part.clips_per_speaker, most) for part, seconds in rendered)


def frames_per_step(config: Any) -> int:
    """Frames that the network takes per training step."""
    from avcat.data.schema import WINDOW_FRAMES

    return int(config.optimiser.batch_clips * getattr(config, "windows_per_clip", 1) * WINDOW_FRAMES)


def step_s(method: str, config: Any, params: Params, device: str) -> float:
    """Seconds of a training step of a network, the fastest of TIMED_STEPS; the first one only if it is slow."""
    import torch

    task = task_on_noise(method, config, params, device)
    batch, took = task.sampler.batch(1), []
    for number in range(1, TIMED_STEPS + 2):  # not 0, in which the shares of the losses are measured
        start = time.perf_counter()
        task.step(number, batch)
        if device == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
        if took[0] > SLOW_STEP_S:
            break
    return min(took[1:] or took)


def task_on_noise(method: str, config: Any, params: Params, device: str) -> Any:
    """A method's training on clips of noise, with random weights in VGG and SyncNet, which take as long."""
    from avcat.methods import find
    from avcat.methods.syncnet.model import SyncNet

    store = Noise(config.model.image_size, params.mel.bands)
    if hasattr(config, "vgg_weights"):
        config = replace(config, vgg_weights="random")
    expert = None if method == "syncnet" else SyncNet(params.syncnet.model)
    return find(method, "task", "TASK")(config, store, store, expert, device)


class Noise:
    """A stand-in for `ClipStore`, with clips of noise."""

    def __init__(self, image_size: int, bands: int) -> None:
        self.image_size, self.bands, self.threads, self.skip_broken = image_size, bands, 1, False
        self.lengths = [50] * 32

    def __len__(self) -> int:
        return len(self.lengths)

    def read_frames(self, clip: int, at: Sequence[int], out: Iterable[np.ndarray]) -> None:
        """See `ClipStore`."""
        for picture in out:
            picture[:] = np.random.default_rng(clip).integers(0, 256, picture.shape, np.uint8)

    def mel(self, clip: int) -> np.ndarray:
        """See `ClipStore`."""
        return np.random.default_rng(clip).random((self.bands, 4 * self.lengths[clip]), np.float32)

    def landmarks(self, clip: int) -> np.ndarray:
        """See `ClipStore`."""
        return np.random.default_rng(clip).random((self.lengths[clip], 22, 2), np.float32)


def rounded(seconds: float) -> str:
    """A time, rounded to a forecast's precision."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, seconds / 60):.0f} minute{'s' if seconds >= 90 else ''}"


def work() -> None:
    """Prints the forecast of what is left to do."""
    from stages.reproduce import stale

    params, waiting = load(), stale()
    if not waiting:
        raise InputError(f"{params.profile}: everything is up to date")
    print(forecast(params, waiting, params.selected))


if __name__ == "__main__":
    main(work, __doc__)
