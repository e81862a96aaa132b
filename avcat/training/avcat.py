"""Training AV-CAT: generator against discriminator, with VGG, sync and, in small profiles, L1 losses (equation 10)."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from avcat.config import TrainConfig
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, ClipStore, WindowSampler
from avcat.errors import InputError
from avcat.losses.gan import discriminator_loss, generator_loss
from avcat.losses.sync import sync_loss
from avcat.losses.vgg import VGGLoss
from avcat.media.mel import mel_windows
from avcat.models.avcat import AVCAT, Redrawn
from avcat.models.build import build_avcat
from avcat.models.discriminator import Discriminator
from avcat.models.syncnet import SyncNet
from avcat.nn.precision import autocast
from avcat.seeding import generator
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light, to_network
from avcat.training.common import Optimiser, Resumable, ema_of, step_draws, update
from avcat.training.loop import learning_rate_factor
from avcat.training.ranks import average, ranks

MIDDLE = WINDOW_FRAMES // 2
CALIBRATION_WINDOWS = 512
STRIP_CLIPS = 6
STRIP_FRAMES = 8
VALIDATION_WINDOWS = 8
MOUTH_Y = 0.62  # a little below the closed lips: they open downwards
MOUTH_SPREAD = (0.117, 0.091)  # of the bell around it, across and down, as fractions of the side


class AVCATTask(Resumable):
    """See `avcat.training.loop.Task`."""

    parts = ("generator", "discriminator", "ema", "optimiser_g", "optimiser_d")

    def __init__(
        self, config: TrainConfig, train: ClipStore, held_out: ClipStore, expert: SyncNet | None, device: str
    ) -> None:
        self.config, self.device, self.held_out = config, device, held_out
        optimiser = config.optimiser
        torch.manual_seed(optimiser.seed)
        self.generator = build_avcat(config.model).to(memory_format=torch.channels_last).to(device)
        self.discriminator = Discriminator(config.discriminator).to(memory_format=torch.channels_last).to(device)
        self.vgg = (
            VGGLoss(config.vgg_weights, config.vgg_layer_weights).to(memory_format=torch.channels_last).to(device)
        )
        hidden = 1 - self.generator.mask
        self.l1_map = hidden * mouth_map(config.model.image_size, config.weights.l1_mouth).to(device)
        self.l1_map = self.l1_map / self.l1_map.mean()
        self.expert = expert.requires_grad_(False).eval().to(device) if expert is not None else None
        if config.weights.sync and not config.consecutive:
            raise InputError("train.consecutive: the sync loss judges consecutive frames; set it, or weights.sync to 0")
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
        self._start_audio_branch(train)
        self.ema = ema_of(self.generator, optimiser.ema_decay)
        self.optimiser_g = Optimiser(self.generator.parameters(), optimiser.learning_rate, optimiser)
        self.optimiser_d = Optimiser(self.discriminator.parameters(), config.discriminator_learning_rate, optimiser)

    def _start_audio_branch(self, train: ClipStore) -> None:
        """E_a from SyncNet and fixed, as the settings say, and its output's mean and spread over some of the data."""
        audio = self.generator.audio
        if self.config.audio_from_syncnet:
            assert self.expert is not None, "audio_from_syncnet needs the expert"
            audio.encoder.load_state_dict(self.expert.audio.state_dict())
        audio.encoder.requires_grad_(not self.config.audio_frozen)
        rng = generator("calibration", self.config.optimiser.seed)
        clips = rng.integers(0, len(train), CALIBRATION_WINDOWS)
        mels = [mel_windows(train.mel(clip), rng.integers(0, train.lengths[clip], 1)) for clip in clips]
        audio.calibrate(torch.from_numpy(np.concatenate(mels)).to(self.device))

    def start_from(self, network: AVCAT) -> None:
        """Goes on from the weights of a trained network of the same settings, calibration included."""
        self.generator.load_state_dict(network.state_dict())
        self.ema = ema_of(self.generator, self.config.optimiser.ema_decay)

    def compile(self) -> None:
        """Has torch compile what a step runs, when it first runs it."""
        self.generator.compile()
        self.generator.encode_reference = torch.compile(self.generator.encode_reference)  # type: ignore[method-assign]
        self.discriminator.compile()
        self.vgg.compile()

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.sampler.prefetch(start, stop)

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        """One update of the generator from all parts of the batch, then one of the discriminator from the same."""
        optimiser, weights = self.config.optimiser, self.weights(number)
        inputs = self._inputs(batch, step_draws(optimiser, number, self.sampler.share))
        parts = list(zip(*(tensor.chunk(self.config.accumulate) for tensor in inputs), strict=True))
        seen: list[dict[str, float]] = []
        pictures: list[tuple[Tensor, Tensor]] = []  # true, drawn

        def generated() -> Iterator[Tensor]:
            for truth, references, mels in parts:
                with autocast(optimiser.precision, self.device):
                    redrawn = self.generator(truth, self.generator.encode_reference(references), mels.flatten(0, 1))
                    drawn = self.generator.composite(truth, redrawn.prediction)
                    wanted = [name for name, weight in weights.items() if weight]
                    losses = self.losses(wanted, redrawn, drawn, truth, mels)
                total = sum((weights[name] * loss for name, loss in losses.items()), truth.new_zeros(()))
                seen.append({name: value.item() for name, value in losses.items()} | {"total": total.item()})
                pictures.append((truth, drawn.detach()))
                yield total

        factor = learning_rate_factor(number, optimiser)
        rate = optimiser.learning_rate * factor
        norm = update(self.optimiser_g, generated(), len(parts), rate, optimiser.gradient_clip)
        if math.isfinite(norm):
            self.ema.update_parameters(self.generator)
        figures = {name: sum(part[name] for part in seen) / len(seen) for name in seen[0]}
        figures |= {"gradient_norm": norm, "learning_rate": rate}
        if weights["gan"]:
            figures |= self._step_discriminator(pictures, factor)
        return average(figures)

    def weights(self, number: int) -> dict[str, float]:
        """The factor of each loss in the total at a step (equation 10; L1, edges and intermediate are ours)."""
        w = self.config.weights
        gan = w.gan if number >= self.config.gan_start_step else 0.0
        two_pictures = self.config.model.backbone is not None and self.config.model.refinement is not None
        intermediate = w.intermediate if two_pictures else 0.0
        return {
            "l1": w.l1,
            "edges": w.edges,
            "gan": gan,
            "vgg": w.vgg,
            "sync": w.sync,
            "intermediate_l1": w.l1 * intermediate,
            "intermediate_edges": w.edges * intermediate,
            "intermediate_vgg": w.vgg * intermediate,
        }

    def losses(
        self, names: list[str], redrawn: Redrawn, composite: Tensor, truth: Tensor, mels: Tensor
    ) -> dict[str, Tensor]:
        """The losses `names`, unweighted. They see what a viewer would: redrawn pictures put together with kept ones.

        L1 is a mean over the redrawn region: what lies outside cannot be wrong.
        """

        def intermediate() -> Tensor:
            assert redrawn.intermediate is not None
            return self.generator.composite(truth, redrawn.intermediate)

        compute = {
            "l1": lambda: self._l1(composite, truth),
            "edges": lambda: self._edges(composite, truth),
            "gan": lambda: generator_loss(self.discriminator(composite), self.config.gan_form),
            "vgg": lambda: self.vgg(composite, truth),
            "sync": lambda: self._sync(composite, mels),
            "intermediate_l1": lambda: self._l1(intermediate(), truth),
            "intermediate_edges": lambda: self._edges(intermediate(), truth),
            "intermediate_vgg": lambda: self.vgg(intermediate(), truth),
        }
        return {name: compute[name]() for name in names}

    def _l1(self, picture: Tensor, truth: Tensor) -> Tensor:
        return ((picture.float() - truth).abs() * self.l1_map).mean()

    def _edges(self, picture: Tensor, truth: Tensor) -> Tensor:
        """L1, over the same region, of each pixel's steps to its left and upper neighbour."""
        error = picture.float() - truth
        across = error.diff(dim=-1).abs() * self.l1_map[:, :, :, 1:]
        down = error.diff(dim=-2).abs() * self.l1_map[:, :, 1:]
        return across.mean() + down.mean()

    def _sync(self, composite: Tensor, mels: Tensor) -> Tensor:
        assert self.expert is not None, "the sync loss needs an expert"
        return sync_loss(self.expert, composite.unflatten(0, (-1, WINDOW_FRAMES)), mels[:, MIDDLE])

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

    def _inputs(self, batch: Batch, draws: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Frames `[5 W, 3, S, S]`, references `[W, 3, S, S]`, mels `[W, 5, 80, 20]`; augmented if `draws` are given."""
        stack = torch.cat((torch.from_numpy(batch.frames), torch.from_numpy(batch.references[:, None])), 1)
        images = to_network(stack)
        if draws is not None and self.config.augment:
            images = mirror_and_light(images, draws[:, :LIGHT_DRAWS])
        images = images.to(self.device)
        frames = images[:, :WINDOW_FRAMES].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return (
            frames,
            images[:, WINDOW_FRAMES].contiguous(memory_format=torch.channels_last),
            torch.from_numpy(batch.mels).to(self.device),
        )

    @torch.inference_mode()
    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """All losses, also those of weight 0, on fixed held-out windows, and a strip of clips."""
        names = [n for n in self.weights(self.config.optimiser.steps) if n != "sync" or self.expert is not None]
        if self.config.model.backbone is None or self.config.model.refinement is None:
            names = [name for name in names if not name.startswith("intermediate")]
        sampler = WindowSampler(self.held_out, seed=0, clips=VALIDATION_WINDOWS, min_gap=self.config.min_reference_gap)
        truth, references, mels = self._inputs(sampler.batch(0), None)
        network = self.averaged
        self.discriminator.eval()  # or its spectral norms would learn from what they judge
        with autocast(self.config.optimiser.precision, self.device):
            redrawn = network(truth, network.encode_reference(references), mels.flatten(0, 1))
            composite = network.composite(truth, redrawn.prediction)
            figures = {k: v.item() for k, v in self.losses(names, redrawn, composite, truth, mels).items()}
        self.discriminator.train()
        return figures, {"held_out": strip(network, self.held_out, self.device)}

    @property
    def averaged(self) -> AVCAT:
        """The generator with averaged weights, in eval mode: what is kept."""
        network = self.ema.module.eval()
        assert isinstance(network, AVCAT)
        return network


def mouth_map(size: int, peak: float) -> Tensor:
    """`[S, S]`: 1, rising to `peak` where alignment by the eyes puts a mouth.

    In the crops of the small profiles, which alone use it, closed lips lie at 0.54 to 0.65 of the height. They are few
    pixels among many that never move.
    """
    at = (torch.arange(size) + 0.5) / size
    bell = torch.exp(-(((at - MOUTH_Y) / MOUTH_SPREAD[1]) ** 2) / 2)[:, None]
    return 1 + (peak - 1) * bell * torch.exp(-(((at - 0.5) / MOUTH_SPREAD[0]) ** 2) / 2)


@torch.inference_mode()
def strip(network: AVCAT, store: ClipStore, device: str) -> np.ndarray:
    """Held-out clips, two rows each: the truth, and the same frames redrawn from the first frame and the sound."""
    rows = []
    for clip in np.linspace(0, len(store) - 1, min(STRIP_CLIPS, len(store))).astype(int):
        at = np.linspace(1, store.lengths[clip] - 1, STRIP_FRAMES).astype(int)
        frames = to_network(torch.from_numpy(store.frames(clip, np.append(at, 0)))).to(device)
        mels = torch.from_numpy(mel_windows(store.mel(clip), at)).to(device)
        redrawn = network(frames[:-1], network.encode_reference(frames[-1:]), mels)
        rows += [frames[:-1], network.composite(frames[:-1], redrawn.prediction)]
    picture = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
