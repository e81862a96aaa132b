"""What the trainings of all networks that redraw faces have in common: samples, both updates, validation, strips."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from avcat.config import GeneratorTraining
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, ClipStore, WindowSampler
from avcat.errors import InputError
from avcat.losses.gan import discriminator_loss
from avcat.media.mel import mel_windows
from avcat.models.generator import Generator, Redrawn
from avcat.models.syncnet import SyncNet
from avcat.nn.precision import autocast
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light, to_network
from avcat.training.common import Optimiser, Resumable, ema_of, step_draws, update
from avcat.training.loop import learning_rate_factor
from avcat.training.ranks import average, ranks

MIDDLE = WINDOW_FRAMES // 2
STRIP_CLIPS = 6
STRIP_FRAMES = 8
VALIDATION_WINDOWS = 8
SHARES_EVERY = 50  # steps


class Sample(NamedTuple):
    """Some of a batch's W windows, as networks take them; pictures in -1..1."""

    truth: Tensor  # [5 W, 3, S, S]
    references: Tensor  # [W, 3, S, S]
    mels: Tensor  # [W, 5, 80, 20]


class GeneratorTask(Resumable):
    """See `avcat.training.loop.Task`. A subclass defines its losses (`weights`, `losses`)."""

    parts = ("generator", "discriminator", "ema", "optimiser_g", "optimiser_d")

    def __init__(
        self,
        config: GeneratorTraining,
        generator: Generator,
        discriminator: nn.Module,
        *,
        train: ClipStore,
        held_out: ClipStore,
        expert: SyncNet | None,
        device: str,
    ) -> None:
        """`expert` is the SyncNet of the loss, if it is used."""
        self.config, self.device, self.held_out = config, device, held_out
        self.generator = generator.to(memory_format=torch.channels_last).to(device)
        self.discriminator = discriminator.to(memory_format=torch.channels_last).to(device)
        self.expert = expert.requires_grad_(False).eval().to(device) if expert is not None else None
        optimiser = config.optimiser
        self.sampler = WindowSampler(
            train,
            seed=optimiser.seed,
            clips=optimiser.batch_clips,
            min_gap=config.min_reference_gap,
            consecutive=config.consecutive,
            share=ranks().share(optimiser.batch_clips),
        )
        clips = len(self.sampler.share)
        if clips % config.accumulate:
            raise InputError(
                f"train.accumulate: {clips} clips of a process cannot be cut into {config.accumulate} parts"
            )

    def start(self) -> None:
        """Creates the EMA and the optimisers from the current weights."""
        config = self.config.optimiser
        self.ema = ema_of(self.generator, config.ema_decay)
        self.optimiser_g = Optimiser(self.generator, config.learning_rate, config)
        self.optimiser_d = Optimiser(self.discriminator, self.config.discriminator_learning_rate, config)

    @abstractmethod
    def weights(self, number: int) -> dict[str, float]:
        """The factor of each loss in the total at a step. If that of `gan` is 0, the discriminator is not trained."""

    @abstractmethod
    def losses(self, names: list[str], redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Tensor]:
        """The losses `names`, unweighted, of `composite`: kept and redrawn pixels put together."""

    def compile(self) -> None:
        """Has torch compile what a step runs, at its first run."""
        self.generator.compile()
        self.generator.encode_reference = torch.compile(self.generator.encode_reference)  # type: ignore[method-assign]
        self.discriminator.compile()

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.sampler.prefetch(start, stop)

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        """One update of the generator from all parts of the batch, then one of the discriminator from the same."""
        optimiser, weights = self.config.optimiser, self.weights(number)
        inputs = self.sample(batch, step_draws(optimiser, number, self.sampler.share))
        parts = [Sample(*tensors) for tensors in zip(*(t.chunk(self.config.accumulate) for t in inputs), strict=True)]
        wanted = [name for name, weight in weights.items() if weight]
        seen: list[dict[str, float]] = []
        pictures: list[tuple[Tensor, Tensor]] = []  # true, drawn
        shares: dict[str, float] = {}

        def generated() -> Iterator[Tensor]:
            for sample in parts:
                truth = sample.truth
                with autocast(optimiser.precision, self.device):
                    redrawn = self.draw(self.generator, sample)
                    drawn = self.generator.composite(truth, redrawn.prediction)
                    losses = self.losses(wanted, redrawn, drawn, sample)
                weighted = {name: weights[name] * loss for name, loss in losses.items()}
                if number % SHARES_EVERY == 0 and not seen:
                    shares.update(gradient_shares(weighted, drawn))
                total = sum(weighted.values(), truth.new_zeros(()))
                seen.append({name: value.item() for name, value in losses.items()} | {"total": total.item()})
                pictures.append((truth, drawn.detach()))
                yield total

        factor = learning_rate_factor(number, optimiser)
        rate = optimiser.learning_rate * factor
        norm = update(self.optimiser_g, generated(), len(parts), rate, optimiser.gradient_clip)
        if math.isfinite(norm):
            self.ema.update_parameters(self.generator)
        figures = {name: sum(part[name] for part in seen) / len(seen) for name in seen[0]}
        figures |= {"gradient_norm": norm, "learning_rate": rate, **shares}
        if weights["gan"]:
            figures |= self._step_discriminator(pictures, factor)
        return average(figures)

    def draw(self, network: Generator, sample: Sample) -> Redrawn:
        """The network's output for a sample."""
        redrawn: Redrawn = network(sample.truth, network.encode_reference(sample.references), sample.mels.flatten(0, 1))
        return redrawn

    def _step_discriminator(self, pictures: list[tuple[Tensor, Tensor]], factor: float) -> dict[str, float]:
        seen: list[float] = []

        def judged() -> Iterator[Tensor]:
            for truth, drawn in pictures:
                with autocast(self.config.optimiser.precision, self.device):
                    real_logits, fake_logits = self.discriminator(truth), self.discriminator(drawn)
                    loss = discriminator_loss(real_logits, fake_logits, self.config.gan_form)
                seen.append(loss.item())
                yield loss

        rate = self.config.discriminator_learning_rate * factor
        norm = update(self.optimiser_d, judged(), len(pictures), rate, self.config.optimiser.gradient_clip)
        return {"discriminator": sum(seen) / len(seen), "discriminator_gradient_norm": norm}

    def sample(self, batch: Batch, draws: Tensor | None) -> Sample:
        """The whole batch as a sample, augmented if `draws` are given."""
        stack = torch.cat((torch.from_numpy(batch.frames), torch.from_numpy(batch.references[:, None])), 1)
        images = to_network(stack)
        if draws is not None and self.config.augment:
            images = self.augmented(images, draws)
        images = images.to(self.device)
        frames = images[:, :WINDOW_FRAMES].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return Sample(
            frames,
            images[:, WINDOW_FRAMES].contiguous(memory_format=torch.channels_last),
            torch.from_numpy(batch.mels).to(self.device),
        )

    def augmented(self, images: Tensor, draws: Tensor) -> Tensor:
        """Windows and their references `[W, 6, 3, S, S]` in -1..1, augmented by `draws` of `step_draws`."""
        return mirror_and_light(images, draws[:, :LIGHT_DRAWS])

    @torch.inference_mode()
    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """All losses, also those of weight 0, on fixed held-out windows, and a strip of clips."""
        sampler = WindowSampler(self.held_out, seed=0, clips=VALIDATION_WINDOWS, min_gap=self.config.min_reference_gap)
        sample = self.sample(sampler.batch(0), None)
        network = self.averaged
        with autocast(self.config.optimiser.precision, self.device):
            redrawn = self.draw(network, sample)
            composite = network.composite(sample.truth, redrawn.prediction)
            figures = self._measure(self._known(), redrawn, composite, sample)
        return figures, {"held_out": strip(network, self.held_out, self.device)}

    def _known(self) -> list[str]:
        """The losses that can be computed: sync needs an expert."""
        return [name for name in self.weights(0) if name != "sync" or self.expert is not None]

    @torch.no_grad()
    def _measure(self, names: list[str], redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, float]:
        """Losses without gradients, for the log."""
        self.discriminator.eval()  # else these pictures would update its spectral norms
        losses = self.losses(names, redrawn, composite, sample)
        self.discriminator.train()
        return {name: loss.item() for name, loss in losses.items()}

    @property
    def averaged(self) -> Generator:
        """The generator with averaged weights, in eval mode: what is kept."""
        network = self.ema.module.eval()
        assert isinstance(network, Generator)
        return network


def gradient_shares(losses: Mapping[str, Tensor], picture: Tensor) -> dict[str, float]:
    """`gradient_share_<loss>`: the share of each (weighted) loss in the gradient on `picture`.

    The norm of each loss's gradient over the sum of all norms; losses independent of it are left out. A weight shows
    little of a loss's influence: at 1e-4 the paper's sync loss may do nothing, or as much as all others together.
    """
    norms = {}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, picture, retain_graph=True, allow_unused=True)
        if gradient is not None:
            norms[name] = gradient.float().norm().item()
    total = sum(norms.values()) or 1.0
    return {f"gradient_share_{name}": norm / total for name, norm in norms.items()}


@torch.inference_mode()
def strip(network: Generator, store: ClipStore, device: str) -> np.ndarray:
    """Held-out clips, two rows each: the truth, and the same frames redrawn from the first frame and the sound."""
    rows = []
    for clip in np.linspace(0, len(store) - 1, min(STRIP_CLIPS, len(store))).astype(int):
        at = np.linspace(1, store.lengths[clip] - 1, STRIP_FRAMES).astype(int)
        frames = to_network(torch.from_numpy(store.frames(clip, np.append(at, 0)))).to(device)
        mels = torch.from_numpy(mel_windows(store.mel(clip), at)).to(device)
        redrawn = network(frames[:-1], network.encode_reference(frames[-1:]), mels)
        rows += [frames[:-1], network.composite(frames[:-1], redrawn.prediction)]
    return side_by_side(rows)


def side_by_side(rows: list[Tensor]) -> np.ndarray:
    """Rows of pictures `[n, 3, S, S]` in -1..1, below each other, as one picture `uint8 [rows S, n S, 3]`."""
    picture = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
