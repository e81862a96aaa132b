"""Training AV-CAT: generator against discriminator, with VGG, sync and, in small profiles, L1 losses (equation 10)."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from torch import Tensor

from avcat.data.windows import Clips
from avcat.errors import InputError
from avcat.methods.avcat.model import AVCAT, ModelConfig
from avcat.methods.generator import Redrawn
from avcat.methods.syncnet.model import SyncNet
from avcat.settings import Rate, settings
from avcat.training.generator import Sample
from avcat.training.perceptual import PerceptualTask, PerceptualTraining

OF_BOTH_STEPS = ("l1", "edges", "vgg")  # losses of the backbone's own picture, too


@settings
class LossWeights:
    """The factor of each loss in the total; the paper's are gan, vgg and sync."""

    l1: Rate = 0.0
    edges: Rate = 0.0  # L1 of differences between neighbouring pixels, so that lips get sharp sooner
    gan: Rate = 0.0
    vgg: Rate = 0.0
    sync: Rate = 0.0


@settings
class TrainConfig(PerceptualTraining):
    """AV-CAT and its ablations."""

    model: ModelConfig
    weights: LossWeights
    intermediate: Rate  # factor of the losses `OF_BOTH_STEPS` on the backbone's own output I^p
    sync_form: Literal["cosine", "bce"]  # 1 - cosine, or -log of a match as in Wav2Lip


class AVCATTask(PerceptualTask[Any]):
    """See `avcat.training.loop.Task`."""

    config: TrainConfig
    built: ClassVar[type[Any]] = AVCAT

    def __init__(self, config: TrainConfig, train: Clips, held_out: Clips, expert: SyncNet | None, device: str) -> None:
        if config.weights.sync and not config.consecutive:
            raise InputError("consecutive: the sync loss judges consecutive frames; set it, or weights.sync to 0")
        super().__init__(config, train, held_out, expert, device)

    def weights(self) -> dict[str, float]:
        """Equation 10; L1, edges and intermediate are ours."""
        weights = super().weights()
        if self.network.has_two_steps:
            weights |= {f"intermediate_{name}": weights[name] * self.config.intermediate for name in OF_BOTH_STEPS}
        return weights

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        truth = sample.truth

        def intermediate() -> Tensor:
            assert redrawn.intermediate is not None
            return self.network.composite(truth, redrawn.intermediate)  # type: ignore[no-any-return]

        return super().table(redrawn, composite, sample) | {
            "sync": lambda: self.sync(self.config.sync_form, composite, sample),
            "intermediate_l1": lambda: self.pixels.l1(intermediate(), truth),
            "intermediate_edges": lambda: self.pixels.edges(intermediate(), truth),
            "intermediate_vgg": lambda: self.vgg(intermediate(), truth),
        }


SETTINGS, TASK = TrainConfig, AVCATTask
