"""Training Wav2Lip: L1, a quality discriminator, and a sync loss once the mouths begin to follow the sound.

Two faults of the published code are left out: its expert stays in training mode, so that its batch norm sees the batch,
and at test time its reference is the unmasked frame itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avcat.data.windows import Batch, Clips
from avcat.errors import InputError
from avcat.methods.generator import Redrawn
from avcat.methods.syncnet.model import SyncNet
from avcat.methods.wav2lip.model import QualityDiscriminator, Wav2Lip, Wav2LipConfig
from avcat.settings import Fraction, Rate, settings
from avcat.training.generator import GeneratorTask, GeneratorTraining, Sample
from avcat.training.ranks import average


@settings
class Wav2LipWeights:
    """Total: sync L_sync + gan L_gan + (1 - sync - gan) (L1 + edges L_edges)."""

    sync: Fraction = 0.0  # published: 0.03, once the gate is open
    gan: Fraction = 0.0  # published: 0.07
    edges: Rate = 0.0  # published: 0


@settings
class Wav2LipTraining(GeneratorTraining):
    model: Wav2LipConfig
    discriminator_width: int  # of the quality discriminator; published: 32
    weights: Wav2LipWeights
    sync_gate: float | None  # the sync loss is used once its held-out value is below this (published: 0.75, the same
    # cosine as 0.31 here); null: from the first step


class Wav2LipTask(GeneratorTask[Wav2Lip]):
    """See `avcat.training.loop.Task`."""

    config: Wav2LipTraining

    def __init__(
        self, config: Wav2LipTraining, train: Clips, held_out: Clips, expert: SyncNet | None, device: str
    ) -> None:
        if not config.consecutive:
            raise InputError("consecutive: the sync loss judges consecutive frames; Wav2Lip needs it")
        torch.manual_seed(config.optimiser.seed)
        network = Wav2Lip(config.model)
        discriminator = QualityDiscriminator(image_size=config.model.image_size, width=config.discriminator_width)
        super().__init__(config, network, discriminator, train=train, held_out=held_out, expert=expert, device=device)
        self.in_step = config.sync_gate is None  # whether the sync loss counts
        self.start()

    def weights(self) -> dict[str, float]:
        """Prajwal et al., section 3.3: s L_sync + g L_gan + (1 - s - g) L1, s being 0 while the gate is closed."""
        w = self.config.weights
        sync = w.sync if self.in_step else 0.0
        rest = 1 - sync - w.gan
        return {"l1": rest, "edges": rest * w.edges, "gan": w.gan, "sync": sync}

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        return super().table(redrawn, composite, sample) | {"sync": lambda: self.sync("bce", composite, sample)}

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        # Ranks may round figures in another way; here they agree that the gate has opened, before it counts.
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


SETTINGS, TASK = Wav2LipTraining, Wav2LipTask
