"""AV-CAT: audio branch, backbone and Refinement Network together (paper, figure 2)."""

from torch import Tensor

from avcat.config import ModelConfig
from avcat.errors import InputError
from avcat.models.audio import AudioBranch
from avcat.models.backbone import Backbone
from avcat.models.generator import Generator, Redrawn, Reference
from avcat.models.refinement import Refinement
from avcat.models.wav2lip import Wav2Lip


class AVCAT(Generator):
    """The generator. Without `backbone` it is "RN only", without `refinement` "w/o RN" (paper, table 3).

    With `wav2lip` in the backbone's place it is "Wav2Lip-L + RN".
    """

    def __init__(self, config: ModelConfig, mask: Tensor) -> None:
        """`mask` is M, `[S, S]`: 1 where the picture is kept."""
        super().__init__(mask)
        if config.backbone is not None and config.wav2lip is not None:
            raise InputError("model: backbone and wav2lip are both set, one would be unused")
        first = config.backbone or config.wav2lip
        if first is None and config.refinement is None:
            raise InputError("model: backbone and refinement are both null, nothing would be left")
        if first is None and config.refinement is not None and not config.refinement.reference:
            raise InputError("model.refinement.reference: without a backbone nothing else would see the reference")
        if config.wav2lip is not None and config.wav2lip.image_size != config.image_size:
            raise InputError(f"model.wav2lip.image_size: {config.wav2lip.image_size} is not model.image_size")
        self.config = config
        self.audio = AudioBranch(config.audio)
        self.backbone = self.wav2lip = self.refinement = None
        if config.backbone is not None:
            self.backbone = Backbone(config.backbone, image_size=config.image_size, audio_dim=config.audio.dim)
        if config.wav2lip is not None:
            self.wav2lip = Wav2Lip(config.wav2lip)
        if config.refinement is not None:
            self.refinement = Refinement(config.refinement, style_dim=config.audio.dim)

    @property
    def has_two_steps(self) -> bool:
        """Whether there is an intermediate picture beside the prediction."""
        return self.refinement is not None and (self.backbone is not None or self.wav2lip is not None)

    def encode_reference(self, reference: Tensor) -> Reference:
        features = [] if self.backbone is None else self.backbone.encode_reference(reference)
        return Reference(reference, features)

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """As `Generator.forward`. The frames are masked here: pixels under the mask are never read."""
        masked, f_a = self.mask * frames, self.audio(mels)
        if self.backbone is not None:
            intermediate = self.backbone(masked, reference.features, f_a)
        elif self.wav2lip is not None:
            intermediate = self.wav2lip(masked, reference, mels).prediction
        else:
            assert self.refinement is not None
            return Redrawn(self.refinement(masked, reference.image, f_a), None)
        if self.refinement is None:
            return Redrawn(intermediate, intermediate)
        return Redrawn(self.refinement(self.composite(frames, intermediate), reference.image, f_a), intermediate)
