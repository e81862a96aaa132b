"""Training PC-AVS: pictures by GAN, VGG and feature matching, and one embedding space for mouths and sounds."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from avcat.losses.gan import feature_loss
from avcat.losses.sync import contrastive_loss
from avcat.methods.generator import Redrawn
from avcat.methods.pc_avs.model import PCAVS, PCAVSConfig
from avcat.settings import Rate, settings
from avcat.training.generator import Sample
from avcat.training.perceptual import PerceptualTask, PerceptualTraining
from avcat.training.ranks import gather, ranks


@settings
class PCAVSWeights:
    l1: Rate = 0.0  # published: 0
    edges: Rate = 0.0  # published: 0
    gan: Rate = 0.0  # published: 1
    vgg: Rate = 0.0  # published: 10
    features: Rate = 0.0  # of the discriminator; published: 10
    contrastive: Rate = 0.0  # between codes of mouths and sounds; published: 100


@settings
class PCAVSTraining(PerceptualTraining):
    model: PCAVSConfig
    weights: PCAVSWeights
    temperature: float  # of the contrastive loss


class PCAVSTask(PerceptualTask[PCAVS]):
    """See `avcat.training.loop.Task`. Of `expert` only the audio encoder is used, if configured."""

    config: PCAVSTraining
    built = PCAVS

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        return super().table(redrawn, composite, sample) | {
            "features": lambda: self._features(composite, sample.truth),
            "contrastive": lambda: self._contrastive(sample),
        }

    def _features(self, composite: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            real = self.discriminator.maps(truth)
        return feature_loss(real, self.discriminator.maps(composite))

    def _contrastive(self, sample: Sample) -> Tensor:
        """Each frame's mouth against the sounds of all frames of the batch, on all ranks, and vice versa."""
        seen = self.network.mouth_of_pictures(sample.truth)
        heard = self.network.mouth_of_sounds(sample.mels.flatten(0, 1))
        faces, sounds = (F.normalize(code.float(), dim=-1) for code in (seen, heard))
        if not faces.requires_grad:  # held-out clips: every rank has all of them
            return contrastive_loss(faces, sounds, self.config.temperature)
        loss = contrastive_loss(gather(faces), gather(sounds), self.config.temperature)
        # Only a rank's own rows pass its gradient back, and the mean over ranks divides it once more.
        return loss + (ranks().world - 1) * (loss - loss.detach())


SETTINGS, TASK = PCAVSTraining, PCAVSTask
