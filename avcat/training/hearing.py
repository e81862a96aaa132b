"""How a network's E_a starts: from SyncNet's, fixed or not, and calibrated on its own sounds."""

import numpy as np
import torch

from avcat.data.windows import Clips
from avcat.media.mel import mel_windows
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.audio import AudioBranch
from avcat.seeding import rng_of
from avcat.settings import settings
from avcat.training.task import DrawingTraining

CALIBRATION_WINDOWS = 512


@settings
class HearingTraining(DrawingTraining):
    """Common settings of the trainings whose networks have an E_a and learn by the VGG loss."""

    vgg_weights: str  # imagenet, random, or a path
    vgg_layer_weights: tuple[float, float, float, float, float]
    audio_from_syncnet: bool  # E_a starts as SyncNet's
    audio_frozen: bool


def start_audio_branch(
    audio: AudioBranch, config: HearingTraining, expert: SyncNet | None, train: Clips, device: str
) -> None:
    """Sets E_a to SyncNet's and freezes it, if configured, and measures its output's mean and spread on some data."""
    if config.audio_from_syncnet:
        assert expert is not None, "audio_from_syncnet needs the expert"
        audio.encoder.load_state_dict(expert.audio.state_dict())
    audio.encoder.requires_grad_(not config.audio_frozen)
    rng = rng_of("calibration", config.optimiser.seed)
    clips = rng.integers(0, len(train), CALIBRATION_WINDOWS)
    mels = [mel_windows(train.mel(clip), rng.integers(0, train.lengths[clip], 1)) for clip in clips]
    audio.calibrate(torch.from_numpy(np.concatenate(mels)).to(device))
