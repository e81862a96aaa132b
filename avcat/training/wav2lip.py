"""Training Wav2Lip: L1, a quality discriminator, and a sync loss once the mouths begin to follow the sound.

Two faults of the published code are left out: its expert stays in training mode, so that its batch norm sees the batch,
and at test time its reference is the unmasked frame itself.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from avcat.config import Wav2LipTraining
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, ClipStore
from avcat.errors import InputError
from avcat.losses.gan import generator_loss
from avcat.losses.pixel import PixelLoss
from avcat.losses.sync import sync_bce_loss
from avcat.models.generator import Redrawn
from avcat.models.syncnet import SyncNet
from avcat.models.wav2lip import QualityDiscriminator, Wav2Lip
from avcat.training.generator import MIDDLE, GeneratorTask, Sample
from avcat.training.ranks import average


class Wav2LipTask(GeneratorTask):
    """See `avcat.training.loop.Task`."""

    config: Wav2LipTraining

    def __init__(
        self, config: Wav2LipTraining, train: ClipStore, held_out: ClipStore, expert: SyncNet, device: str
    ) -> None:
        if not config.consecutive:
            raise InputError("train.consecutive: the sync loss judges consecutive frames; Wav2Lip needs it")
        torch.manual_seed(config.optimiser.seed)
        network = Wav2Lip(config.model)
        discriminator = QualityDiscriminator(image_size=config.model.image_size, width=config.discriminator_width)
        super().__init__(config, network, discriminator, train=train, held_out=held_out, expert=expert, device=device)
        self.pixels = PixelLoss(1 - self.generator.mask, config.weights.l1_mouth)
        self.in_step = config.sync_gate is None  # whether the sync loss counts
        self.start()

    def weights(self, number: int) -> dict[str, float]:
        """Prajwal et al., section 3.3: s L_sync + g L_gan + (1 - s - g) L1, s being 0 while the gate is closed."""
        w = self.config.weights
        sync = w.sync if self.in_step else 0.0
        rest = 1 - sync - w.gan
        return {"l1": rest, "edges": rest * w.edges, "gan": w.gan, "sync": sync}

    def losses(self, names: list[str], redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Tensor]:
        compute = {
            "l1": lambda: self.pixels.l1(composite, sample.truth),
            "edges": lambda: self.pixels.edges(composite, sample.truth),
            "gan": lambda: generator_loss(self.discriminator(composite), self.config.gan_form),
            "sync": lambda: self._sync(composite, sample.mels),
        }
        return {name: compute[name]() for name in names}

    def _sync(self, composite: Tensor, mels: Tensor) -> Tensor:
        assert self.expert is not None
        return sync_bce_loss(self.expert, composite.unflatten(0, (-1, WINDOW_FRAMES)), mels[:, MIDDLE])

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        # Only the first rank validates; the others learn here that the gate has opened, before it counts.
        self.in_step = average({"in_step": float(self.in_step)})["in_step"] > 0
        return super().step(number, batch)

    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """As `GeneratorTask.validate`; opens the gate of the sync loss if the held-out one is low enough."""
        figures, pictures = super().validate(number)
        gate = self.config.sync_gate
        self.in_step = self.in_step or (gate is not None and figures["sync"] < gate)
        return figures | {"in_step": float(self.in_step)}, pictures

    def state(self) -> dict[str, Any]:
        return super().state() | {"in_step": self.in_step}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.in_step = state["in_step"]
