"""The losses that know what a sound looks like: SyncNet's own, and the one it lends to AV-CAT (paper, equation 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from avcat.models.syncnet import SyncNet, cosine_matrix


def contrastive_loss(faces: Tensor, sounds: Tensor, temperature: float) -> Tensor:
    """Each face finds its sound among all of the batch, and each sound its face.

    Embeddings `[N, D]` of length one, row n of one belonging to row n of the other -> mean of both cross entropies.
    """
    logits = cosine_matrix(faces, sounds) / temperature
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def sync_loss(expert: SyncNet, frames: Tensor, mels: Tensor) -> Tensor:
    """Equation 9: 1 - cosine of five predicted frames `[B, 5, 3, S, S]` and their sound `[B, 80, 20]`, averaged.

    Gradients flow through the expert to the frames; the sound's embedding is a constant.
    """
    with torch.no_grad():
        sound = expert.embed_audio(mels)
    return 1 - (expert.embed_faces(frames) * sound).sum(-1).mean()
