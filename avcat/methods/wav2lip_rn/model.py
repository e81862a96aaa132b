"""Both networks, one after the other."""

from torch import Tensor

from avcat.data.schema import MEL_BANDS
from avcat.errors import InputError
from avcat.methods.avcat.refinement import Refinement, RefinementConfig
from avcat.methods.generator import Generator, Redrawn, Reference
from avcat.methods.wav2lip.model import Wav2Lip, Wav2LipConfig
from avcat.nn.audio import AudioBranch, AudioEncoderConfig
from avcat.settings import Side, settings


@settings
class Wav2LipRNConfig:
    """Both networks."""

    image_size: Side
    audio: AudioEncoderConfig  # of the Refinement Network; Wav2Lip has its own
    width: int  # of Wav2Lip
    refinement: RefinementConfig


class Wav2LipRN(Generator):
    """The generator. It redraws AV-CAT's region."""

    has_two_steps = True

    def __init__(self, config: Wav2LipRNConfig) -> None:
        super().__init__(config.image_size)
        if config.audio.bands != MEL_BANDS:
            raise InputError(f"model.audio.bands: {config.audio.bands}, but Wav2Lip takes mels of {MEL_BANDS} bands")
        self.config = config
        self.audio = AudioBranch(config.audio)
        self.wav2lip = Wav2Lip(Wav2LipConfig(config.image_size, config.width))
        self.refinement = Refinement(config.refinement, style_dim=config.audio.dim)

    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """As `Generator.forward`. The frames are masked here, as in AV-CAT."""
        intermediate = self.wav2lip(self.mask * frames, reference, mels).prediction
        refined = self.refinement(self.composite(frames, intermediate), reference.image, self.audio(mels))
        return Redrawn(refined, intermediate)


SETTINGS, NETWORK = Wav2LipRNConfig, Wav2LipRN
