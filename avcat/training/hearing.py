"""How a network's E_a starts: from SyncNet's, fixed or not, and calibrated on its own sounds."""

from typing import Protocol

import numpy as np
import torch

from avcat.data.windows import Clips
from avcat.media.mel import mel_windows
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.audio import AudioBranch
from avcat.seeding import rng_of
from avcat.training.optimiser import OptimiserConfig

CALIBRATION_WINDOWS = 512


class Hearing(Protocol):
    """The settings of a training that has an E_a."""

    @property
    def optimiser(self) -> OptimiserConfig: ...
    @property
    def audio_from_syncnet(self) -> bool: ...
    @property
    def audio_frozen(self) -> bool: ...


def start_audio_branch(audio: AudioBranch, config: Hearing, expert: SyncNet | None, train: Clips, device: str) -> None:
    """Sets E_a to SyncNet's and freezes it, if configured, and measures its output's mean and spread on some data."""
    if config.audio_from_syncnet:
        assert expert is not None, "audio_from_syncnet needs the expert"
        audio.encoder.load_state_dict(expert.audio.state_dict())
    audio.encoder.requires_grad_(not config.audio_frozen)
    rng = rng_of("calibration", config.optimiser.seed)
    clips = rng.integers(0, len(train), CALIBRATION_WINDOWS)
    mels = [mel_windows(train.mel(clip), rng.integers(0, train.lengths[clip], 1)) for clip in clips]
    audio.calibrate(torch.from_numpy(np.concatenate(mels)).to(device))
