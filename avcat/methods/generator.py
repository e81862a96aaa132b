"""The interface of all networks that redraw faces, for training, evaluation and dubbing."""

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from avcat.errors import InputError
from avcat.face.mask import keep_mask


class Reference(NamedTuple):
    """All that a network keeps of a reference frame."""

    image: Tensor  # [R, 3, S, S]
    features: Any  # what the network computes from it, internal to the network


class Redrawn(NamedTuple):
    """A network's output, both `[B, 3, S, S]` in about -1..1, not yet composited with the kept picture."""

    prediction: Tensor  # I_t^p
    intermediate: Tensor | None  # the first step's output of a network with two steps


class Generator(nn.Module):
    """Frames, a reference and sounds -> redrawn frames. A subclass has `encode_reference` and `forward`."""

    mask: Tensor  # [1, 1, S, S]: 1 where the picture is kept

    def __init__(self, image_size: int) -> None:
        """Raises InputError if the side does not suit the redrawn region."""
        super().__init__()
        try:
            kept = ~self.redrawn_region(image_size)
        except ValueError as error:
            raise InputError(f"model.image_size: {error}") from None
        self.register_buffer("mask", torch.from_numpy(kept)[None, None].float(), persistent=False)

    @property
    def has_two_steps(self) -> bool:
        """Whether there is an intermediate picture beside the prediction."""
        return False

    @property
    def image_size(self) -> int:
        return self.mask.shape[-1]

    @staticmethod
    def redrawn_region(size: int) -> np.ndarray:
        """Which pixels of a crop of any side are redrawn, bool `[size, size]`: M of the paper, or a method's own."""
        return keep_mask(size) == 0

    def encode_reference(self, reference: Tensor) -> Reference:
        """`[R, 3, S, S]` in -1..1 -> what all frames with this reference need; it does not depend on the frame."""
        return Reference(reference, None)

    @abstractmethod
    def forward(self, frames: Tensor, reference: Reference, mels: Tensor) -> Redrawn:
        """Frames `[B, 3, S, S]` in -1..1, R references (R divides B), mels `[B, 80, 20]`."""

    def composite(self, frames: Tensor, redrawn: Tensor) -> Tensor:
        """M I + (1 - M) I^p (section 3.3)."""
        return self.mask * frames + (1 - self.mask) * redrawn


class WholePicture(Generator):
    """A generator that redraws the whole crop, as the paper's peers do."""

    @staticmethod
    def redrawn_region(size: int) -> np.ndarray:
        return np.ones((size, size), bool)
