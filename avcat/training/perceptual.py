"""Training of generators with E_a, a multi-scale discriminator and the VGG loss."""

from collections.abc import Callable
from typing import Any, ClassVar, Generic

import torch
from torch import Tensor

from avcat.data.windows import Clips
from avcat.losses.vgg import VGGLoss
from avcat.methods.generator import Redrawn
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.discriminator import Discriminator, DiscriminatorConfig
from avcat.settings import settings
from avcat.training.generator import G, GeneratorTask, GeneratorTraining, Sample
from avcat.training.hearing import HearingTraining, start_audio_branch
from avcat.training.task import placed


@settings
class PerceptualTraining(GeneratorTraining, HearingTraining):
    """Common settings of these trainings. A subclass adds `model`."""

    discriminator: DiscriminatorConfig


class PerceptualTask(GeneratorTask[G], Generic[G]):
    """See `avcat.training.loop.Task`. A subclass names its network, and defines its losses (`weights`, `table`)."""

    config: PerceptualTraining
    discriminator: Discriminator
    built: ClassVar[type[Any]]  # the class of the network, made of `config.model`; its `audio` is E_a

    def __init__(self, config: Any, train: Clips, held_out: Clips, expert: SyncNet | None, device: str) -> None:
        """`config`: a `PerceptualTraining` with `model`. `expert` also lends its E_a, if configured."""
        torch.manual_seed(config.optimiser.seed)
        network, discriminator = self.built(config.model), Discriminator(config.discriminator)
        super().__init__(config, network, discriminator, train=train, held_out=held_out, expert=expert, device=device)
        self.vgg = placed(VGGLoss(config.vgg_weights, config.vgg_layer_weights), device)
        start_audio_branch(network.audio, config, expert, train, device)
        self.start()

    def compile(self) -> None:
        super().compile()
        self.vgg.compile()

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        return super().table(redrawn, composite, sample) | {"vgg": lambda: self.vgg(composite, sample.truth)}
