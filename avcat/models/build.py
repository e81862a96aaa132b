"""From settings to networks: one place that knows every kind."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from avcat.config import ModelConfig, SyncNetConfig, parse
from avcat.errors import InputError
from avcat.face.mask import keep_mask
from avcat.models.avcat import AVCAT
from avcat.models.syncnet import SyncNet


def build_avcat(config: ModelConfig) -> AVCAT:
    """The generator with its mask. Raises InputError where the settings cannot be built."""
    try:
        mask = keep_mask(config.image_size)
    except ValueError as error:
        raise InputError(f"model.image_size: {error}") from None
    return AVCAT(config, torch.from_numpy(mask))


def build(kind: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network of a model file."""
    if kind == "avcat":
        return build_avcat(parse(ModelConfig, settings, "model"))
    if kind == "syncnet":
        return SyncNet(parse(SyncNetConfig, settings, "model"))
    raise InputError(f"unknown kind of model: {kind!r}")
