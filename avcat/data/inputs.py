"""What a trained network takes: the crops and sounds that it learnt from."""

from avcat.face.align import AlignConfig
from avcat.media.mel import MelConfig
from avcat.settings import settings


@settings
class InputConfig:
    """Required inputs of a trained network; users of its checkpoint must match them."""

    crop_size: int
    align: AlignConfig
    mel: MelConfig
