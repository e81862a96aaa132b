"""Training AV-CAT: generator against discriminator, with VGG, sync and, in small profiles, L1 losses (equation 10)."""

import torch
from torch import Tensor

from avcat.config import TrainConfig
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import ClipStore
from avcat.errors import InputError
from avcat.losses.gan import generator_loss
from avcat.losses.pixel import PixelLoss
from avcat.losses.sync import SYNC_LOSSES
from avcat.losses.vgg import VGGLoss
from avcat.models.avcat import AVCAT
from avcat.models.build import build_avcat
from avcat.models.discriminator import Discriminator
from avcat.models.generator import Redrawn
from avcat.models.syncnet import SyncNet
from avcat.training.generator import MIDDLE, GeneratorTask, Sample
from avcat.training.hearing import start_audio_branch


class AVCATTask(GeneratorTask):
    """See `avcat.training.loop.Task`."""

    generator: AVCAT
    config: TrainConfig

    def __init__(
        self, config: TrainConfig, train: ClipStore, held_out: ClipStore, expert: SyncNet | None, device: str
    ) -> None:
        if config.weights.sync and not config.consecutive:
            raise InputError("train.consecutive: the sync loss judges consecutive frames; set it, or weights.sync to 0")
        torch.manual_seed(config.optimiser.seed)
        network, discriminator = build_avcat(config.model), Discriminator(config.discriminator)
        super().__init__(config, network, discriminator, train=train, held_out=held_out, expert=expert, device=device)
        vgg = VGGLoss(config.vgg_weights, config.vgg_layer_weights)
        self.vgg = vgg.to(memory_format=torch.channels_last).to(device)
        self.pixels = PixelLoss(1 - self.generator.mask, config.weights.l1_mouth)
        start_audio_branch(self.generator.audio, config, expert, train, device)
        self.start()

    def compile(self) -> None:
        super().compile()
        self.vgg.compile()

    def weights(self, number: int) -> dict[str, float]:
        """Equation 10; L1, edges and intermediate are ours."""
        w = self.config.weights
        weights = {
            "l1": w.l1,
            "edges": w.edges,
            "gan": w.gan,
            "vgg": w.vgg,
            "sync": w.sync,
        }
        if self.generator.has_two_steps:
            of_both = ("l1", "edges", "vgg")
            weights |= {f"intermediate_{name}": weights[name] * w.intermediate for name in of_both}
        return weights

    def losses(self, names: list[str], redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Tensor]:
        truth = sample.truth

        def intermediate() -> Tensor:
            assert redrawn.intermediate is not None
            return self.generator.composite(truth, redrawn.intermediate)

        compute = {
            "l1": lambda: self.pixels.l1(composite, truth),
            "edges": lambda: self.pixels.edges(composite, truth),
            "gan": lambda: generator_loss(self.discriminator(composite), self.config.gan_form),
            "vgg": lambda: self.vgg(composite, truth),
            "sync": lambda: self._sync(composite, sample.mels),
            "intermediate_l1": lambda: self.pixels.l1(intermediate(), truth),
            "intermediate_edges": lambda: self.pixels.edges(intermediate(), truth),
            "intermediate_vgg": lambda: self.vgg(intermediate(), truth),
        }
        return {name: compute[name]() for name in names}

    def _sync(self, composite: Tensor, mels: Tensor) -> Tensor:
        assert self.expert is not None, "the sync loss needs an expert"
        loss = SYNC_LOSSES[self.config.sync_form]
        return loss(self.expert, composite.unflatten(0, (-1, WINDOW_FRAMES)), mels[:, MIDDLE])
