"""Training PC-AVS: pictures by GAN, VGG and feature matching, and one embedding space for mouths and sounds."""

import torch
import torch.nn.functional as F
from torch import Tensor

from avcat.config import PCAVSTraining
from avcat.data.windows import ClipStore
from avcat.losses.gan import feature_loss, generator_loss
from avcat.losses.pixel import PixelLoss
from avcat.losses.sync import contrastive_loss
from avcat.losses.vgg import VGGLoss
from avcat.models.discriminator import Discriminator
from avcat.models.generator import Redrawn
from avcat.models.pc_avs import PCAVS
from avcat.models.syncnet import SyncNet
from avcat.training.generator import GeneratorTask, Sample
from avcat.training.hearing import start_audio_branch
from avcat.training.ranks import gather, ranks


class PCAVSTask(GeneratorTask):
    """See `avcat.training.loop.Task`. Of `expert` only the audio encoder is used, if configured."""

    generator: PCAVS
    discriminator: Discriminator
    config: PCAVSTraining

    def __init__(
        self, config: PCAVSTraining, train: ClipStore, held_out: ClipStore, expert: SyncNet | None, device: str
    ) -> None:
        torch.manual_seed(config.optimiser.seed)
        network, discriminator = PCAVS(config.model), Discriminator(config.discriminator)
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
        w = self.config.weights
        return {
            "l1": w.l1,
            "edges": w.edges,
            "gan": w.gan,
            "vgg": w.vgg,
            "features": w.features,
            "contrastive": w.contrastive,
        }

    def losses(self, names: list[str], redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Tensor]:
        compute = {
            "l1": lambda: self.pixels.l1(composite, sample.truth),
            "edges": lambda: self.pixels.edges(composite, sample.truth),
            "gan": lambda: generator_loss(self.discriminator(composite), self.config.gan_form),
            "vgg": lambda: self.vgg(composite, sample.truth),
            "features": lambda: self._features(composite, sample.truth),
            "contrastive": lambda: self._contrastive(sample),
        }
        return {name: compute[name]() for name in names}

    def _features(self, composite: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            real = self.discriminator.maps(truth)
        return feature_loss(real, self.discriminator.maps(composite))

    def _contrastive(self, sample: Sample) -> Tensor:
        """Each frame's mouth against the sounds of all frames of the batch, on all ranks, and vice versa."""
        seen = self.generator.mouth_of_pictures(sample.truth)
        heard = self.generator.mouth_of_sounds(sample.mels.flatten(0, 1))
        faces, sounds = (F.normalize(code.float(), dim=-1) for code in (seen, heard))
        if not faces.requires_grad:  # held-out clips: only the first rank validates
            return contrastive_loss(faces, sounds, self.config.temperature)
        loss = contrastive_loss(gather(faces), gather(sounds), self.config.temperature)
        # Only a rank's own rows pass its gradient back, and the mean over ranks divides it once more.
        return loss + (ranks().world - 1) * (loss - loss.detach())
