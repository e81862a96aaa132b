"""What all trainings have in common: one network with its sampler, its optimiser and its moving average."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from avcat.data.windows import Batch, Clips, WindowSampler
from avcat.nn.pictures import mosaic, to_network
from avcat.nn.precision import autocast
from avcat.seeding import seed_of
from avcat.settings import Natural, Rate, settings
from avcat.training.augment import LIGHT_DRAWS, MOVE_DRAWS
from avcat.training.optimiser import Optimiser, OptimiserConfig, ema_of, learning_rate_factor
from avcat.training.ranks import average, ranks

N = TypeVar("N", bound=nn.Module)
S = TypeVar("S")
STRIP_CLIPS = 6
STRIP_FRAMES = 8
VALIDATION_WINDOWS = 8


@settings
class Training:
    """Common settings of all trainings."""

    optimiser: OptimiserConfig
    augment: bool


@settings
class DrawingTraining(Training):
    """Common settings of the trainings whose networks draw."""

    l1_mouth: Rate  # weight of L1 and edges at the aligned mouth's place relative to elsewhere; 1: uniform
    min_reference_gap: Natural  # least number of frames between the window and its reference


class NetworkTask(Generic[N]):
    """See `avcat.training.loop.Task`. Training of one network.

    A subclass sets `network` to its weights at the start, and calls `start`.
    """

    parts: tuple[str, ...] = ("network", "ema", "optimiser")  # attributes with a state

    def __init__(
        self, config: Training, network: N, train: Clips, held_out: Clips, device: str, **sampling: Any
    ) -> None:
        """`sampling`: as for `WindowSampler`."""
        self.config, self.device, self.train, self.held_out = config, device, train, held_out
        self.network = placed(network, device)
        clips = config.optimiser.batch_clips
        self.sampler = WindowSampler(
            train, seed=config.optimiser.seed, clips=clips, share=ranks().share(clips), **sampling
        )

    def start(self) -> None:
        """Creates the average and the optimiser from the current weights."""
        optimiser = self.config.optimiser
        self.ema = ema_of(self.network, optimiser.ema_decay)
        self.optimiser = Optimiser(self.network, optimiser.learning_rate, optimiser)

    def compile(self) -> None:
        """Has torch compile what a step runs, at its first run."""
        self.network.compile()

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.sampler.prefetch(start, stop)

    def draws(self, step: int) -> Tensor | None:
        """Uniform numbers in 0..1 for the windows of our share of a step's batch, `[W, LIGHT_DRAWS + MOVE_DRAWS]`.

        None if the settings want no augmentation.
        """
        optimiser, share = self.config.optimiser, self.sampler.share
        if not self.config.augment:
            return None
        random = torch.Generator().manual_seed(seed_of("step", optimiser.seed, step))
        shape = (optimiser.batch_clips, self.sampler.windows, LIGHT_DRAWS + MOVE_DRAWS)
        return torch.rand(shape, generator=random)[share.start : share.stop].flatten(0, 1)

    def learn(self, step: int) -> dict[str, float]:
        """Updates the network and its average by the gradients; returns their norm and the learning rate."""
        optimiser = self.config.optimiser
        rate = optimiser.learning_rate * learning_rate_factor(step, optimiser)
        norm = self.optimiser.step(rate, optimiser.gradient_clip)
        if math.isfinite(norm):
            self.ema.update_parameters(self.network)
        return {"gradient_norm": norm, "learning_rate": rate}

    @property
    def averaged(self) -> N:
        """The network with averaged weights, in eval mode: what is kept."""
        return cast(N, self.ema.module.eval())

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {name: getattr(self, name).state_dict() for name in self.parts}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])


class LossesTask(NetworkTask[N], Generic[N, S]):
    """Training by a weighted sum of named losses. `S` is what a batch becomes on the device: pictures, mels, ..."""

    config: DrawingTraining

    def weights(self) -> dict[str, float]:
        """The factor of each loss in the total: `config.weights`, unless a subclass says otherwise.

        A loss of weight 0 is computed only for held-out clips; if it is `gan`, the discriminator is not trained.
        """
        return asdict(self.config.weights)  # type: ignore[attr-defined]

    @abstractmethod
    def sample(self, clips: Clips, batch: Batch, draws: Tensor | None) -> S:
        """The whole batch, augmented if `draws` are given."""

    @abstractmethod
    def losses(self, names: list[str], network: N, sample: S) -> dict[str, Tensor]:
        """The losses `names`, unweighted."""

    @abstractmethod
    def strip(self, network: N) -> np.ndarray:
        """Held-out clips, two rows each: the truth, and the same frames as `network` draws them (`strip_of`)."""

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        """One update by the whole batch."""
        weights, sample = self.weights(), self.sample(self.train, batch, self.draws(number))
        self.optimiser.zero_grad()
        with autocast(self.config.optimiser.precision, self.device):
            losses = self.losses([name for name, weight in weights.items() if weight], self.network, sample)
        total = sum((weights[name] * loss for name, loss in losses.items()), torch.zeros((), device=self.device))
        self.optimiser.backward(total)
        figures = {name: loss.item() for name, loss in losses.items()} | {"total": total.item()}
        return average(figures | self.learn(number))

    @torch.inference_mode()
    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """All losses, also those of weight 0, on fixed held-out windows, and a strip of clips."""
        sampler = WindowSampler(self.held_out, seed=0, clips=VALIDATION_WINDOWS, min_gap=self.config.min_reference_gap)
        sample, network = self.sample(self.held_out, sampler.batch(0), None), self.averaged
        with autocast(self.config.optimiser.precision, self.device):
            losses = self.losses(self.known(), network, sample)
        return {name: loss.item() for name, loss in losses.items()}, {"held_out": self.strip(network)}

    def known(self) -> list[str]:
        """The losses that can be computed."""
        return list(self.weights())


def placed(module: N, device: str) -> N:
    """A module on a device, its kernels in the order that is fastest there."""
    return module.to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload, no-any-return]


def strip_of(clips: Clips, device: str, draw: Callable[[int, np.ndarray, Tensor], Tensor]) -> np.ndarray:
    """Some clips, two rows each: the truth, and what `draw` makes of it; `uint8 [rows S, n S, 3]`.

    `draw` takes the number of the clip, those of n frames, and n + 1 pictures `[n + 1, 3, S, S]` in -1..1: these
    frames', then the clip's first, the reference. It returns `[n, 3, S, S]`.
    """
    rows = []
    for clip in np.linspace(0, len(clips) - 1, min(STRIP_CLIPS, len(clips))).astype(int):
        at = np.linspace(1, clips.lengths[clip] - 1, STRIP_FRAMES).astype(int)
        frames = to_network(clips.frames(clip, np.append(at, 0))).to(device)
        rows += [frames[:-1], draw(clip, at, frames)]
    return mosaic(rows)
