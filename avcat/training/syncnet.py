"""Training SyncNet: every window finds its sound among those of other people and of other moments of its own clip."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from avcat.config import SyncNetTraining
from avcat.data.windows import FRAMES, Batch, ClipStore, WindowSampler
from avcat.losses.sync import contrastive_loss
from avcat.media.mel import shifted
from avcat.metrics.embed import embed_clip
from avcat.metrics.sync import sync_scores
from avcat.models.syncnet import SyncNet
from avcat.seeding import generator
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light, misalign, to_network
from avcat.training.common import Optimiser, Resumable, autocast, ema_of, step_draws, update
from avcat.training.loop import learning_rate_factor
from avcat.training.ranks import gather, ranks

MIDDLE = FRAMES // 2
FAR_FRAMES = 5  # "another moment": so far away at least
EMBED_WINDOWS = 64
MAX_SHIFT = 15  # frames to each side, as the official tool searches


class SyncNetTask(Resumable):
    """See `avcat.training.loop.Task`."""

    parts = ("network", "ema", "optimiser")

    def __init__(self, config: SyncNetTraining, train: ClipStore, held_out: ClipStore, device: str) -> None:
        self.config, self.device, self.held_out = config, device, held_out
        optimiser = config.optimiser
        torch.manual_seed(optimiser.seed)
        self.network = SyncNet(config.model).to(memory_format=torch.channels_last).to(device)
        self.ema = ema_of(self.network, optimiser.ema_decay)
        self.optimiser = Optimiser(self.network.parameters(), optimiser.learning_rate, optimiser)
        self.sampler = WindowSampler(
            train,
            seed=optimiser.seed,
            clips=optimiser.batch_clips,
            windows=config.windows_per_clip,
            min_shift=config.min_shift,
            share=ranks().share(optimiser.batch_clips),
        )

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.sampler.prefetch(start, stop)

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        optimiser = self.config.optimiser
        frames, mels = to_network(torch.from_numpy(batch.frames)), torch.from_numpy(batch.mels[:, MIDDLE])
        if self.config.augment:
            draws = step_draws(optimiser, number, self.sampler.share, windows=self.config.windows_per_clip)
            frames = misalign(mirror_and_light(frames, draws[:, :LIGHT_DRAWS]), draws[:, LIGHT_DRAWS:])
        with autocast(optimiser, self.device):
            faces, sounds = self.network(frames.to(self.device), mels.to(self.device))
        loss = contrastive_loss(gather(faces), gather(sounds), self.config.temperature)
        rate = optimiser.learning_rate * learning_rate_factor(number, optimiser)
        norm = update(self.optimiser, loss * ranks().world, rate, optimiser.gradient_clip)
        if math.isfinite(norm):
            self.ema.update_parameters(self.network)
        return {"loss": loss.item(), "gradient_norm": norm, "learning_rate": rate}

    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        return judge(self.averaged, self.held_out), {}

    @property
    def averaged(self) -> SyncNet:
        """The network with averaged weights, in eval mode: what is kept."""
        network = self.ema.module.eval()
        assert isinstance(network, SyncNet)
        return network


def judge(network: SyncNet, store: ClipStore, *, planted: bool = False) -> dict[str, float]:
    """How well a SyncNet knows people it has never seen.

    `two_way`: how often the right sound is closer than one of the same clip, at least 5 frames away (chance: 0.5).
    `offset_zero`: share of clips whose offset is found within one frame of 0. `planted_exact`: share of clips whose
    sound was moved by 1 to 10 frames, to either side, and for which exactly that is found (only with `planted`).
    """
    hits: list[float] = []
    zero: list[bool] = []
    exact: list[bool] = []
    for clip in range(len(store)):
        frames, mel = store.frames(clip, np.arange(store.lengths[clip])), store.mel(clip)
        faces, sounds = embed_clip(network, frames, mel, EMBED_WINDOWS)
        hits += _two_way(faces, sounds)
        zero.append(abs(sync_scores(faces, sounds, MAX_SHIFT).offset) <= 1)
        if planted:
            rng = generator("planted", clip)
            by = int(rng.integers(1, 11) * rng.choice((-1, 1)))
            _, moved = embed_clip(network, frames, shifted(mel, by), EMBED_WINDOWS)
            exact.append(sync_scores(faces, moved, MAX_SHIFT).offset == -by)
    result = {"two_way": float(np.mean(hits)), "offset_zero": float(np.mean(zero))}
    return result | ({"planted_exact": float(np.mean(exact))} if planted else {})


def _two_way(faces: np.ndarray, sounds: np.ndarray) -> list[float]:
    """One figure a clip: over all pairs of windows at least FAR_FRAMES apart, how often the right sound wins."""
    cosines = faces @ sounds.T
    at = np.arange(len(faces))
    far = np.abs(at[:, None] - at[None]) >= FAR_FRAMES
    if not far.any():
        return []
    return [float((np.diag(cosines)[:, None] > cosines)[far].mean())]
