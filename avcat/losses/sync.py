"""Sync losses: SyncNet's own training loss, and the expert loss for generators (paper, equation 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from avcat.methods.syncnet.model import SyncNet, cosine_matrix


def contrastive_loss(faces: Tensor, sounds: Tensor, temperature: float) -> Tensor:
    """Each face must match its sound among all sounds of the batch, and each sound its face.

    Embeddings `[N, D]` of length one, row n of one matching row n of the other -> mean of both cross entropies.
    """
    logits = cosine_matrix(faces, sounds) / temperature
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def cosine_bce_loss(faces: Tensor, sounds: Tensor) -> Tensor:
    """Wav2Lip's: binary cross entropy of (1 + cosine) / 2, target 1 for a face and its sound, 0 for any other sound.

    Rows as in `contrastive_loss`. Right and wrong pairs count half each, so that guessing costs ln 2 = 0.693 for any
    batch. Wav2Lip's embeddings are positive and their cosines lie in 0..1; ours lie in -1..1, hence the scale.
    """
    match = ((1 + cosine_matrix(faces, sounds)) / 2).clamp(1e-6, 1 - 1e-6)
    others = ~torch.eye(len(match), dtype=torch.bool, device=match.device)
    return -(match.diagonal().log().mean() + (1 - match[others]).log().mean()) / 2


def sync_loss(expert: SyncNet, frames: Tensor, mels: Tensor) -> Tensor:
    """Equation 9 as 1 - cosine of five predicted frames `[B, 5, 3, S, S]` and their sound `[B, 80, 20]`, averaged.

    Gradients flow through the expert to the frames; the sound's embedding is a constant.
    """
    return sync_loss_by_window(expert, frames, mels).mean()


def sync_loss_by_window(expert: SyncNet, frames: Tensor, mels: Tensor) -> Tensor:
    """`sync_loss` per window: `[B]` in 0..2."""
    with torch.no_grad():
        sound = expert.embed_audio(mels)
    return 1 - (expert.embed_faces(frames) * sound).sum(-1)


def sync_bce_loss(expert: SyncNet, frames: Tensor, mels: Tensor) -> Tensor:
    """Wav2Lip's expert loss, -log of a match in 0..1, here (1 + cosine) / 2 as in `cosine_bce_loss`. As `sync_loss`."""
    return -(1 - sync_loss_by_window(expert, frames, mels) / 2).clamp_min(1e-6).log().mean()


SYNC_LOSSES = {"cosine": sync_loss, "bce": sync_bce_loss}  # equation 9 does not specify which; `sync_form`
