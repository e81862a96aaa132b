"""Training SyncNet: each window must match its sound among those of other people and of other moments of its clip.

It is the training that most often fails to learn; for remedies see docs/training.md.
"""

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch

from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, Clips
from avcat.errors import InputError
from avcat.losses.sync import contrastive_loss, cosine_bce_loss
from avcat.media.mel import shifted
from avcat.methods.syncnet.model import SyncNet, SyncNetConfig
from avcat.metrics.embed import embed_clip
from avcat.metrics.sync import sync_scores
from avcat.nn.pictures import to_network
from avcat.nn.precision import autocast
from avcat.seeding import rng_of
from avcat.settings import settings
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light, misalign
from avcat.training.loop import Loggers, each_step
from avcat.training.ranks import gather, ranks, shared
from avcat.training.task import NetworkTask, Training
from avcat.training.threads import Threads

MIDDLE = WINDOW_FRAMES // 2
FAR_FRAMES = 5  # "another moment": at least this far away
EMBED_WINDOWS = 64
MAX_SHIFT = 15  # frames to each side, as the official tool searches
OVERFIT_EMA = 0.95  # a few hundred steps are too short for an average over thousands
JUDGED_CLIPS = 512  # at most, chosen by seed: LRW's 25,000 would take longer than the training between them
GUESSING = 0.55  # a two-way accuracy up to this is no better than guessing: 0.5 is chance


@settings
class SyncNetTraining(Training):
    model: SyncNetConfig
    windows_per_clip: int  # hard negatives: number of windows of one clip in a batch
    min_shift: int  # frames, the least distance of two windows of one clip
    loss: Literal["contrastive", "cosine_bce"]  # each window against the whole batch, or pairs as in Wav2Lip
    temperature: float  # of the contrastive loss
    chance_steps: int  # training stops with a reason if validation is still at chance after this many steps; 0: never
    half: Literal["all", "even", "odd"]  # of the training speakers: loss and evaluation can use different people


class SyncNetTask(NetworkTask[SyncNet]):
    """See `avcat.training.loop.Task`. It has no expert: it becomes one."""

    config: SyncNetTraining

    def __init__(self, config: SyncNetTraining, train: Clips, held_out: Clips, expert: None, device: str) -> None:
        torch.manual_seed(config.optimiser.seed)
        sampling = {"windows": config.windows_per_clip, "min_shift": config.min_shift}
        super().__init__(config, SyncNet(config.model), train, held_out, device, **sampling)
        self.start()

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        frames, mels = to_network(batch.frames), torch.from_numpy(batch.mels[:, MIDDLE])
        if (draws := self.draws(number)) is not None:
            frames = misalign(mirror_and_light(frames, draws[:, :LIGHT_DRAWS]), draws[:, LIGHT_DRAWS:])
        self.optimiser.zero_grad()
        with autocast(self.config.optimiser.precision, self.device):
            faces, sounds = self.network(frames.to(self.device), mels.to(self.device))
        loss = self._loss(gather(faces), gather(sounds))
        self.optimiser.backward(loss * ranks().world)  # a rank's rows only pass its own gradient back
        return {"loss": loss.item()} | self.learn(number)

    def _loss(self, faces: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
        if self.config.loss == "cosine_bce":
            return cosine_bce_loss(faces, sounds)
        return contrastive_loss(faces, sounds, self.config.temperature)

    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Raises InputError if the network still guesses after `chance_steps`: more steps will not help."""
        figures = judge(self.averaged, self.held_out)
        if 0 < self.config.chance_steps <= number and figures["two_way"] <= GUESSING:
            raise InputError(
                f"SyncNet still guesses after {number} steps: it prefers the right sound to another of the same clip "
                f"in {figures['two_way']:.0%} of cases, chance is 50%. `python -m stages.syncnet --overfit 32` "
                "shows whether sound and picture belong together at all; docs/training.md lists the usual reasons"
            )
        return figures, {}


def overfit(
    config: SyncNetTraining,
    store: Clips,
    steps: int,
    device: str,
    loggers: Loggers,
    threads: Threads | None = None,
) -> dict[str, float]:
    """Overfits to the clips of `store`, without augmentation, and scores on the same clips; keeps nothing.

    A network that fails here will not learn from more clips: sound and picture do not belong together, or the settings
    keep the network from learning.
    """
    optimiser = replace(
        config.optimiser,
        steps=steps,
        batch_clips=min(config.optimiser.batch_clips, len(store)),
        warmup_steps=min(config.optimiser.warmup_steps, steps // 10),
        ema_decay=min(config.optimiser.ema_decay, OVERFIT_EMA),
        validate_every=max(1, steps // 4),
    )
    task = SyncNetTask(replace(config, optimiser=optimiser, augment=False, chance_steps=0), store, store, None, device)
    for done, figures, measured, _ in each_step(task, optimiser, 0, threads):
        loggers.scalars(done, {**figures, **measured})
    return judge(task.averaged, store, planted=True)


def judge(network: SyncNet, store: Clips, *, planted: bool = False) -> dict[str, float]:
    """How well a SyncNet works on people it has never seen: on `JUDGED_CLIPS` clips, of which each rank takes a share.

    All ranks have to call it, and all get the same figures.

    `two_way`: how often the right sound is closer than one of the same clip, at least 5 frames away (chance: 0.5).
    `offset_zero`: share of clips whose offset is found within one frame of 0. `planted_exact`: share of clips whose
    sound was moved by 1 to 10 frames, to either side, and for which exactly that is found (only with `planted`).
    `right_at_<k>`: how often the right sound is closer than that k frames off (only with `planted`).
    """
    clips = np.sort(rng_of("judged").permutation(len(store))[:JUDGED_CLIPS]).tolist()
    mine = {clip: _judge_clip(network, store, clip, planted) for clip in clips[ranks().rank :: ranks().world]}
    judged = [found for _, found in sorted(shared(mine).items())]
    result = {
        "two_way": float(np.mean([hits for found in judged for hits in found.two_way])),
        "offset_zero": float(np.mean([found.in_step for found in judged])),
    }
    if planted:
        result["planted_exact"] = float(np.mean([found.planted_found for found in judged]))
        means = np.nanmean([found.by_shift for found in judged], axis=0)
        result |= {f"right_at_{k}": float(mean) for k, mean in enumerate(means, 1) if np.isfinite(mean)}
    return result


class _Judged(NamedTuple):
    """One clip."""

    two_way: list[float]  # one figure, or none if the clip is too short
    in_step: bool
    planted_found: bool
    by_shift: np.ndarray


def _judge_clip(network: SyncNet, store: Clips, clip: int, planted: bool) -> _Judged:
    frames, mel = store.frames(clip, np.arange(store.lengths[clip])), store.mel(clip)
    faces, sounds = embed_clip(network, frames, mel, EMBED_WINDOWS)
    in_step, found, by_shift = abs(sync_scores(faces, sounds, MAX_SHIFT).offset) <= 1, False, np.empty(0)
    if planted:
        rng = rng_of("planted", clip)
        by = int(rng.integers(1, 11) * rng.choice((-1, 1)))
        _, moved = embed_clip(network, frames, shifted(mel, by), EMBED_WINDOWS)
        found, by_shift = sync_scores(faces, moved, MAX_SHIFT).offset == -by, _by_shift(faces, sounds)
    return _Judged(_two_way(faces, sounds), in_step, found, by_shift)


def _two_way(faces: np.ndarray, sounds: np.ndarray) -> list[float]:
    """One figure per clip: over all pairs of windows at least FAR_FRAMES apart, how often the right sound wins."""
    cosines = faces @ sounds.T
    at = np.arange(len(faces))
    far = np.abs(at[:, None] - at[None]) >= FAR_FRAMES
    if not far.any():
        return []
    return [float((np.diag(cosines)[:, None] > cosines)[far].mean())]


def _by_shift(faces: np.ndarray, sounds: np.ndarray) -> np.ndarray:
    """[MAX_SHIFT]: how often the right sound is closer than that 1, 2, ... frames off, to either side; NaN for none."""
    cosines = faces @ sounds.T
    right = np.diag(cosines)
    found = np.full(MAX_SHIFT, np.nan)
    for k in range(1, min(MAX_SHIFT, len(right) - 1) + 1):
        early, late = np.diagonal(cosines, -k), np.diagonal(cosines, k)
        found[k - 1] = np.concatenate([right[k:] > early, right[:-k] > late]).mean()
    return found


SETTINGS, TASK = SyncNetTraining, SyncNetTask
