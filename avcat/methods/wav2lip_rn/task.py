"""Training Wav2Lip-L + RN: as AV-CAT is trained."""

from avcat.methods.avcat.task import AVCATTask, TrainConfig
from avcat.methods.wav2lip_rn.model import Wav2LipRN, Wav2LipRNConfig
from avcat.settings import settings


@settings
class Wav2LipRNTraining(TrainConfig):
    """As AV-CAT's, of another network."""

    model: Wav2LipRNConfig  # type: ignore[assignment]


class Wav2LipRNTask(AVCATTask):
    """See `avcat.training.loop.Task`."""

    built = Wav2LipRN


SETTINGS, TASK = Wav2LipRNTraining, Wav2LipRNTask
