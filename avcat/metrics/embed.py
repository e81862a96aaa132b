"""A SyncNet's embeddings of a clip's windows, for `avcat.metrics.sync`."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcat.data.schema import WINDOW_FRAMES
from avcat.media.mel import COLUMNS_PER_FRAME
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.pictures import crops_to_network


@torch.inference_mode()
def embed_clip(
    judge: SyncNet, crops: NDArray[np.uint8], mel: NDArray[np.float32], batch_windows: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeds all windows of a clip: crops `uint8 [T, S, S, 3]`, mel `[80, 4 T]` -> faces, sounds `[T - 4, D]` each.

    Window i holds frames i .. i + 4 and their 20 mel columns. Crops are shrunk as they are for training.
    """
    size = judge.config.image_size
    device = next(judge.parameters()).device
    faces = crops_to_network(crops, size, "cpu").unfold(0, WINDOW_FRAMES, 1).movedim(-1, 1)
    columns = WINDOW_FRAMES * COLUMNS_PER_FRAME
    sounds = torch.from_numpy(np.ascontiguousarray(mel)).unfold(1, columns, COLUMNS_PER_FRAME).movedim(0, 1)
    assert len(faces) == len(sounds), f"{len(faces)} windows of faces, {len(sounds)} of sounds"

    def embed(network: Callable[[Tensor], Tensor], windows: Tensor) -> NDArray[np.float32]:
        parts = [network(part.contiguous().to(device)).float().cpu() for part in torch.split(windows, batch_windows)]
        return np.asarray(torch.cat(parts).numpy(), np.float32)

    return embed(judge.embed_faces, faces), embed(judge.embed_audio, sounds)
