"""AV-CAT: audio branch, backbone and Refinement Network together (paper, figure 2)."""

from typing import NamedTuple

from torch import Tensor, nn

from avcat.config import ModelConfig
from avcat.errors import InputError
from avcat.models.audio import AudioBranch
from avcat.models.backbone import Backbone, ReferenceFeatures
from avcat.models.refinement import Refinement


class Reference(NamedTuple):
    """All that a model keeps of a reference frame."""

    image: Tensor  # [R, 3, S, S]
    features: ReferenceFeatures  # empty without a backbone


class Redrawn(NamedTuple):
    """What a model answers, both `[B, 3, S, S]` in about -1..1, not yet put together with the kept picture."""

    prediction: Tensor  # I_t^p: G_R's output, or the backbone's where there is no G_R
    intermediate: Tensor | None  # the backbone's, where there is one


class AVCAT(nn.Module):
    """The generator. Without `backbone` it is "RN only", without `refinement` "w/o RN" (paper, table 3)."""

    mask: Tensor

    def __init__(self, config: ModelConfig, mask: Tensor) -> None:
        """`mask` is M, `[S, S]`: 1 where the picture is kept."""
        super().__init__()
        if config.backbone is None and config.refinement is None:
            raise InputError("model: backbone and refinement are both null, nothing would be left")
        if config.backbone is None and config.refinement is not None and not config.refinement.reference:
            raise InputError("model.refinement.reference: without a backbone nothing else would see the reference")
        self.config = config
        self.register_buffer("mask", mask[None, None], persistent=False)
        self.audio = AudioBranch(config.audio)
        self.backbone = self.refinement = None
        if config.backbone is not None:
            self.backbone = Backbone(config.backbone, image_size=config.image_size, audio_dim=config.audio.dim)
        if config.refinement is not None:
            self.refinement = Refinement(config.refinement, style_dim=config.audio.dim)

    def encode_reference(self, reference: Tensor) -> Reference:
        """`[R, 3, S, S]` in -1..1 -> what every frame that refers to it needs; it does not depend on the frame."""
        features = [] if self.backbone is None else self.backbone.encode_reference(reference)
        return Reference(reference, features)

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """Frames `[B, 3, S, S]` in -1..1 (masked here: what lies under the mask is never read), mels `[B, 80, 20]`."""
        masked, f_a = self.mask * frames, self.audio(mels)
        if self.backbone is None:
            assert self.refinement is not None
            return Redrawn(self.refinement(masked, reference.image, f_a), None)
        intermediate = self.backbone(masked, reference.features, f_a)
        if self.refinement is None:
            return Redrawn(intermediate, intermediate)
        return Redrawn(self.refinement(self.composite(frames, intermediate), reference.image, f_a), intermediate)

    def composite(self, frames: Tensor, redrawn: Tensor) -> Tensor:
        """M I + (1 - M) I^p (section 3.3)."""
        return self.mask * frames + (1 - self.mask) * redrawn
