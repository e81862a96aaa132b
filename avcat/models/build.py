"""Builds every kind of network from its settings."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from avcat.config import MakeItTalkConfig, ModelConfig, PCAVSConfig, SyncNetConfig, Wav2LipConfig, parse
from avcat.errors import InputError
from avcat.face.mask import keep_mask
from avcat.models.avcat import AVCAT
from avcat.models.makeittalk import MakeItTalk
from avcat.models.pc_avs import PCAVS
from avcat.models.syncnet import SyncNet
from avcat.models.wav2lip import Wav2Lip


def build_avcat(config: ModelConfig) -> AVCAT:
    """The generator with its mask. Raises InputError if the settings cannot be built."""
    try:
        mask = keep_mask(config.image_size)
    except ValueError as error:
        raise InputError(f"model.image_size: {error}") from None
    return AVCAT(config, torch.from_numpy(mask))


def build(kind: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network of a model file. Raises InputError for an unknown kind, or settings that cannot be built."""
    match kind:
        case "avcat":
            return build_avcat(parse(ModelConfig, settings, "model"))
        case "syncnet":
            return SyncNet(parse(SyncNetConfig, settings, "model"))
        case "wav2lip":
            return Wav2Lip(parse(Wav2LipConfig, settings, "model"))
        case "pc-avs":
            return PCAVS(parse(PCAVSConfig, settings, "model"))
        case "makeittalk":
            return MakeItTalk(parse(MakeItTalkConfig, settings, "model"))
    raise InputError(f"unknown kind of model: {kind!r}")
