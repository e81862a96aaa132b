"""Fits a trained model to one person, from a few seconds or minutes of video.

Self-supervised, as all training here: frames of the person, their own sound, a reference from elsewhere in the clip.
The last part of every clip is held out; training stops when that part no longer improves, and keeps the best weights.
The face's appearance is learnt; how sound moves it is kept (`avcat.methods.avcat.person`). Validated and kept is an
average over about the last hundred steps; it begins with the weights given and moves away from them gradually.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import Module

from avcat.checkpoint import load_model, save_model
from avcat.data.schema import FPS, WINDOW_FRAMES
from avcat.data.windows import Clips
from avcat.dubbing.stretches import Progress, stretches
from avcat.errors import InputError
from avcat.face.landmarks import FaceDetector
from avcat.files import atomic_path
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.media.pictures import png
from avcat.methods.avcat.model import AVCAT
from avcat.methods.avcat.person import PersonTask
from avcat.nn.precision import Precision, quickest
from avcat.training.generator import strip
from avcat.training.loop import each_step
from avcat.training.optimiser import OptimiserConfig
from avcat.training.threads import Threads

STEPS, VALIDATE_EVERY, PATIENCE = 150, 50, 2  # validations in a row without improvement
PASSES = 40  # over the frames, at most: a small set is soon overfitted
SHORTEST_S = 6 * WINDOW_FRAMES / FPS  # of a stretch: four windows to train on, two to hold out
HELD_OUT = 0.2  # of every stretch of a clip, its end
_BATCH_CLIPS, _LEARNING_RATE, _WARMUP = 3, 3e-3, 20
_CACHED_FRAMES = 15_000  # ten minutes


@dataclass(frozen=True)
class Fitted:
    """Result: L1 of the held-out part before and after, and the best step."""

    before: float
    after: float
    steps: int
    best_step: int
    frames: int  # trained on
    held_out: int
    precision: Precision  # computed in


class PersonStore(Clips):
    """Stretches of one person in memory."""

    def __init__(self, image_size: int, stretches: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """`stretches`: frames uint8 [T, S, S, 3] and mels float32 [bands, 4 T]."""
        self.image_size, self._stretches = image_size, stretches
        self.lengths = [len(frames) for frames, _ in stretches]
        self.bands = len(stretches[0][1]) if stretches else 0

    def read_frames(self, clip: int, at: Sequence[int] | np.ndarray, out: Iterable[np.ndarray]) -> None:
        for frame, place in zip(at, out, strict=True):
            place[:] = self._stretches[clip][0][frame]

    def mel(self, clip: int) -> np.ndarray:
        return self._stretches[clip][1]


def fit(
    clips: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    detector: FaceDetector,
    *,
    steps: int = STEPS,
    device: str = "cpu",
    seed: int = 0,
    threads: Threads | None = None,
    progress: Progress = lambda *_: None,
) -> Fitted:
    """Writes `out`, a model file for `avcat dub`, and beside it a strip of held-out moments (`strip_of`).

    Only the first ten minutes of all clips together are used. The strip has three rows for each of some stretches:
    ground truth, output of `model`, output of `out`. The same inputs and number of threads give the same weights.
    `threads` are adapted after each step. Raises InputError if an input cannot be used or shows the face too
    briefly.
    """
    network, file = load_model(model, AVCAT, device)
    size = network.config.image_size
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for clip in clips:
        left = _CACHED_FRAMES - sum(len(frames) for frames, _ in parts)
        if left > 0:
            parts += stretches(Path(clip), file.inputs, size, detector, left, progress)
    train, held_out = divided(parts, size)
    if not len(train):
        raise InputError(
            f"{', '.join(map(str, clips))}: shows no face, with sound, for {SHORTEST_S:g} s on end to learn from"
        )
    progress("fit", 0, steps)  # strips and the first validation take a while
    before = strip(network, held_out, device)
    done = fit_network(
        network, train, held_out, steps=steps, device=device, seed=seed, threads=threads, progress=progress
    )
    after = strip(network, held_out, device)
    facts = {
        **file.facts,
        "fitted_steps": done.best_step,
        "fitted_precision": done.precision,
        "fitted_l1_before": done.before,
        "fitted_l1": done.after,
    }
    save_model(out, "avcat", network, network.config, file.inputs, facts)
    strips = _three_rows(before, after, size)
    with atomic_path(strip_of(out)) as file_part:
        file_part.write_bytes(png(strips))
    return done


def strip_of(out: str | Path) -> Path:
    """Path of the strip of a fitted model: `person.pt` has `person-strip.png`."""
    return Path(out).with_name(f"{Path(out).stem}-strip.png")


def fit_network(
    network: AVCAT,
    train: PersonStore,
    held_out: PersonStore,
    *,
    steps: int = STEPS,
    device: str = "cpu",
    seed: int = 0,
    threads: Threads | None = None,
    progress: Progress = lambda *_: None,
) -> Fitted:
    """Trains `network` on `train` for at most `steps`, and gives it the weights that draw `held_out` best."""
    steps = min(steps, max(VALIDATE_EVERY, PASSES * sum(train.lengths) // (_BATCH_CLIPS * WINDOW_FRAMES)))
    config = _settings(steps, seed)
    task = PersonTask(config, network, train, held_out, device)
    before = task.validate(0)[0]["l1"]
    task.hear(train, held_out)
    # Validated from here on: mouths that move more may raise L1, but are the purpose of `hear`.
    tried, best = [(task.validate(0)[0]["l1"], 0)], _copy(task.averaged)
    done = 0
    with suppress(FloatingPointError):  # what was best until then is kept
        for done, figures, _, _ in each_step(task, config, 0, threads):
            progress("fit", done, steps)
            if "val_l1" in figures:
                tried.append((figures["val_l1"], done))
                if tried[-1] == min(tried):
                    best = _copy(task.averaged)
                if len(tried) - 1 - tried.index(min(tried)) >= PATIENCE:
                    break
    network.load_state_dict(best)
    after, best_step = min(tried)
    return Fitted(before, after, done, best_step, sum(train.lengths), sum(held_out.lengths), quickest(device))


def _copy(network: Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def divided(stretches: Sequence[tuple[np.ndarray, np.ndarray]], image_size: int) -> tuple[PersonStore, PersonStore]:
    """Training and held-out part: the latter is the end of each stretch that is long enough for both."""
    train, held_out = [], []
    for frames, mel in stretches:
        kept = len(frames) - max(2 * WINDOW_FRAMES, round(HELD_OUT * len(frames)))
        if kept >= 4 * WINDOW_FRAMES:
            train.append((frames[:kept], mel[:, : COLUMNS_PER_FRAME * kept]))
            held_out.append((frames[kept:], mel[:, COLUMNS_PER_FRAME * kept :]))
    return PersonStore(image_size, train), PersonStore(image_size, held_out)


def _settings(steps: int, seed: int) -> OptimiserConfig:
    return OptimiserConfig(
        muon=True,
        steps=steps,
        batch_clips=_BATCH_CLIPS,
        learning_rate=_LEARNING_RATE,
        warmup_steps=_WARMUP,
        beta1=0.9,
        beta2=0.999,
        gradient_clip=1.0,
        ema_decay=0.99,
        precision="auto",
        seed=seed,
        validate_every=VALIDATE_EVERY,
        checkpoint_every=steps,
        keep_checkpoints=1,
    )


def _three_rows(before: np.ndarray, after: np.ndarray, side: int) -> np.ndarray:
    """Ground truth, before, after, from two strips of (truth, redrawn) rows of the same moments."""
    rows = range(0, len(before), 2 * side)
    return np.vstack([np.vstack([before[y : y + 2 * side], after[y + side : y + 2 * side]]) for y in rows])
