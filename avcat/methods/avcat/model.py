"""The network: audio branch, backbone and Refinement Network together (paper, figure 2)."""

from torch import Tensor

from avcat.errors import InputError
from avcat.methods.avcat.backbone import Backbone, BackboneConfig
from avcat.methods.avcat.refinement import Refinement, RefinementConfig
from avcat.methods.generator import Generator, Redrawn, Reference
from avcat.nn.audio import AudioBranch, AudioEncoderConfig
from avcat.settings import Side, settings


@settings
class ModelConfig:
    """A whole AV-CAT generator."""

    image_size: Side
    audio: AudioEncoderConfig
    backbone: BackboneConfig | None  # None: "RN only", the U-Net refines the masked frame
    refinement: RefinementConfig | None  # None: "w/o RN", the backbone's own output


class AVCAT(Generator):
    """The generator. Without `backbone` it is "RN only", without `refinement` "w/o RN" (paper, table 3)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.image_size)
        if config.backbone is None and config.refinement is None:
            raise InputError("model: backbone and refinement are both null, nothing would be left")
        if config.backbone is None and config.refinement is not None and not config.refinement.reference:
            raise InputError("model.refinement.reference: without a backbone nothing else would see the reference")
        self.config = config
        self.audio = AudioBranch(config.audio)
        self.backbone = self.refinement = None
        if config.backbone is not None:
            self.backbone = Backbone(config.backbone, image_size=config.image_size, audio_dim=config.audio.dim)
        if config.refinement is not None:
            self.refinement = Refinement(config.refinement, style_dim=config.audio.dim)

    @property
    def has_two_steps(self) -> bool:
        return self.refinement is not None and self.backbone is not None

    def encode_reference(self, reference: Tensor) -> Reference:
        features = [] if self.backbone is None else self.backbone.encode_reference(reference)
        return Reference(reference, features)

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """As `Generator.forward`. The frames are masked here: pixels under the mask are never read."""
        masked, f_a = self.mask * frames, self.audio(mels)
        if self.backbone is None:
            assert self.refinement is not None
            return Redrawn(self.refinement(masked, reference.image, f_a), None)
        intermediate = self.backbone(masked, reference.features, f_a)
        if self.refinement is None:
            return Redrawn(intermediate, intermediate)
        return Redrawn(self.refinement(self.composite(frames, intermediate), reference.image, f_a), intermediate)


SETTINGS, NETWORK = ModelConfig, AVCAT
