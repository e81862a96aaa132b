"""What the trainings of all networks that redraw frames have in common: samples, both updates, the usual losses."""

from collections.abc import Callable, Mapping
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, Clips
from avcat.errors import InputError
from avcat.losses.gan import discriminator_loss, generator_loss
from avcat.losses.pixel import PixelLoss
from avcat.losses.sync import SYNC_LOSSES
from avcat.media.mel import mel_windows
from avcat.methods.generator import Generator, Redrawn
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.pictures import to_network
from avcat.nn.precision import autocast
from avcat.settings import Count, Rate, settings
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light
from avcat.training.optimiser import Optimiser, learning_rate_factor
from avcat.training.ranks import average
from avcat.training.task import DrawingTraining, LossesTask, placed, strip_of

G = TypeVar("G", bound=Generator)
MIDDLE = WINDOW_FRAMES // 2
SHARES_EVERY = 50  # steps


@settings
class GeneratorTraining(DrawingTraining):
    """Common settings of all networks that redraw frames and have an adversary."""

    accumulate: Count  # gradient accumulation: sequential parts of a process's batch, to save memory
    discriminator_learning_rate: Rate
    gan_form: Literal["log", "hinge"]
    consecutive: bool  # False: five frames from anywhere in the clip, more variety per step; the sync loss needs True


class Sample(NamedTuple):
    """Some of a batch's W windows, as networks take them; pictures in -1..1."""

    truth: Tensor  # [5 W, 3, S, S]
    references: Tensor  # [W, 3, S, S]
    mels: Tensor  # [W, 5, 80, 20]


class RedrawingTask(LossesTask[G, Sample], Generic[G]):
    """See `avcat.training.loop.Task`. A subclass defines its losses (`weights`, `table`)."""

    def __init__(
        self, config: DrawingTraining, network: G, train: Clips, held_out: Clips, device: str, *, consecutive: bool
    ) -> None:
        """`consecutive`: as in `GeneratorTraining`."""
        sampling = {"min_gap": config.min_reference_gap, "consecutive": consecutive}
        super().__init__(config, network, train, held_out, device, **sampling)
        self.pixels = PixelLoss(1 - self.network.mask, config.l1_mouth)

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        """How each loss is computed. `composite`: kept and redrawn pixels put together."""
        return {
            "l1": lambda: self.pixels.l1(composite, sample.truth),
            "edges": lambda: self.pixels.edges(composite, sample.truth),
        }

    def draw(self, network: Generator, sample: Sample) -> Redrawn:
        """The network's output for a sample."""
        redrawn: Redrawn = network(sample.truth, network.encode_reference(sample.references), sample.mels.flatten(0, 1))
        return redrawn

    def losses(self, names: list[str], network: G, sample: Sample) -> dict[str, Tensor]:
        redrawn = self.draw(network, sample)
        table = self.table(redrawn, network.composite(sample.truth, redrawn.prediction), sample)
        return {name: table[name]() for name in names}

    def sample(self, clips: Clips, batch: Batch, draws: Tensor | None) -> Sample:
        images = to_network(np.concatenate((batch.frames, batch.references[:, None]), 1))
        if draws is not None:
            images = self.augmented(images, draws)
        images = images.to(self.device)
        frames = images[:, :WINDOW_FRAMES].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        references = images[:, WINDOW_FRAMES].contiguous(memory_format=torch.channels_last)
        return Sample(frames, references, torch.from_numpy(batch.mels).to(self.device))

    def augmented(self, images: Tensor, draws: Tensor) -> Tensor:
        """Windows and their references `[W, 6, 3, S, S]` in -1..1, augmented by `draws`."""
        return mirror_and_light(images, draws[:, :LIGHT_DRAWS])

    def strip(self, network: G) -> np.ndarray:
        return strip(network, self.held_out, self.device)


class GeneratorTask(RedrawingTask[G], Generic[G]):
    """Redrawing with an adversary and an expert."""

    config: GeneratorTraining
    parts = ("network", "discriminator", "ema", "optimiser", "discriminator_optimiser")

    def __init__(
        self,
        config: GeneratorTraining,
        network: G,
        discriminator: nn.Module,
        *,
        train: Clips,
        held_out: Clips,
        expert: SyncNet | None,
        device: str,
    ) -> None:
        """`expert` is the SyncNet of the loss, if it is used."""
        super().__init__(config, network, train, held_out, device, consecutive=config.consecutive)
        self.discriminator = placed(discriminator, device)
        self.expert = expert.requires_grad_(False).eval().to(device) if expert is not None else None
        clips = len(self.sampler.share)
        if clips % config.accumulate:
            raise InputError(f"accumulate: {clips} clips of a process cannot be cut into {config.accumulate} parts")

    def start(self) -> None:
        super().start()
        config = self.config
        self.discriminator_optimiser = Optimiser(
            self.discriminator, config.discriminator_learning_rate, config.optimiser
        )

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        gan = {"gan": lambda: generator_loss(self.discriminator(composite), self.config.gan_form)}
        return super().table(redrawn, composite, sample) | gan

    def sync(self, form: str, composite: Tensor, sample: Sample) -> Tensor:
        """The expert's loss (equation 9), in one of the forms of `SYNC_LOSSES`."""
        assert self.expert is not None, "the sync loss needs an expert"
        return SYNC_LOSSES[form](self.expert, composite.unflatten(0, (-1, WINDOW_FRAMES)), sample.mels[:, MIDDLE])

    def compile(self) -> None:
        from torch._functorch import config

        config.donated_buffer = False  # `gradient_shares` goes back through the graph once more
        super().compile()
        self.network.encode_reference = torch.compile(self.network.encode_reference)  # type: ignore[method-assign]
        self.discriminator.compile()

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        """One update of the network by all parts of the batch, then one of the discriminator by the same."""
        inputs = self.sample(self.train, batch, self.draws(number))
        parts = [Sample(*tensors) for tensors in zip(*(t.chunk(self.config.accumulate) for t in inputs), strict=True)]
        self.optimiser.zero_grad()
        drawn, figures = zip(
            *(self._backward(part, 1 / len(parts), number % SHARES_EVERY == 0 and part is parts[0]) for part in parts),
            strict=True,
        )
        seen = {name: sum(part[name] for part in figures) / len(parts) for name in figures[-1]}
        seen = figures[0] | seen | self.learn(number)  # the first has the shares, too
        if self.weights()["gan"]:
            seen |= self._step_discriminator(number, [part.truth for part in parts], drawn)
        return average(seen)

    def _backward(self, sample: Sample, share: float, with_shares: bool) -> tuple[Tensor, dict[str, float]]:
        """Adds the gradients of a part of the batch; returns its pictures, and its losses."""
        weights = self.weights()
        with autocast(self.config.optimiser.precision, self.device):
            redrawn = self.draw(self.network, sample)
            composite = self.network.composite(sample.truth, redrawn.prediction)
            table = self.table(redrawn, composite, sample)
            losses = {name: table[name]() for name, weight in weights.items() if weight}
        weighted = {name: weights[name] * loss for name, loss in losses.items()}
        shares = gradient_shares(weighted, composite) if with_shares else {}
        total = sum(weighted.values(), sample.truth.new_zeros(()))
        self.optimiser.backward(total * share)
        figures = {name: loss.item() for name, loss in losses.items()}
        return composite.detach(), figures | {"total": total.item()} | shares

    def _step_discriminator(self, number: int, truths: list[Tensor], drawn: tuple[Tensor, ...]) -> dict[str, float]:
        config, losses = self.config, []
        self.discriminator_optimiser.zero_grad()
        for truth, fake in zip(truths, drawn, strict=True):
            with autocast(config.optimiser.precision, self.device):
                loss = discriminator_loss(self.discriminator(truth), self.discriminator(fake), config.gan_form)
            self.discriminator_optimiser.backward(loss / len(truths))
            losses.append(loss.item())
        rate = config.discriminator_learning_rate * learning_rate_factor(number, config.optimiser)
        norm = self.discriminator_optimiser.step(rate, config.optimiser.gradient_clip)
        return {"discriminator": sum(losses) / len(losses), "discriminator_gradient_norm": norm}

    def losses(self, names: list[str], network: G, sample: Sample) -> dict[str, Tensor]:
        """For held-out clips."""
        self.discriminator.eval()  # else these pictures would update its spectral norms
        losses = super().losses(names, network, sample)
        self.discriminator.train()
        return losses

    def known(self) -> list[str]:
        """The losses that can be computed: sync needs an expert."""
        return [name for name in self.weights() if name != "sync" or self.expert is not None]


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
def strip(network: Generator, clips: Clips, device: str) -> np.ndarray:
    """Some clips, two rows each: the truth, and the same frames redrawn from the first frame and the sound."""

    def redrawn(clip: int, at: np.ndarray, frames: Tensor) -> Tensor:
        mels = torch.from_numpy(mel_windows(clips.mel(clip), at)).to(device)
        prediction = network(frames[:-1], network.encode_reference(frames[-1:]), mels).prediction
        return network.composite(frames[:-1], prediction)

    return strip_of(clips, device, redrawn)
