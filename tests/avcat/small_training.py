"""Trainings small enough for tests: settings, clips that talk, tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avcat.config import (
    AlignConfig,
    AudioEncoderConfig,
    BackboneConfig,
    DiscriminatorConfig,
    InputConfig,
    LossWeights,
    MelConfig,
    ModelConfig,
    OptimiserConfig,
    RefinementConfig,
    SyncNetConfig,
    SyncNetTraining,
    TrainConfig,
)
from avcat.data.shards import Landmarks, ShardClip, encode_jpeg, write_shard
from avcat.data.windows import ClipStore
from avcat.models.syncnet import SyncNet
from avcat.seeding import generator
from avcat.training.avcat import AVCATTask
from avcat.training.syncnet import SyncNetTask

SIZE = 32
AUDIO = AudioEncoderConfig(kind="small", width=4, dim=16)
OPTIMISER = OptimiserConfig(
    muon=True,
    steps=6,
    batch_clips=2,
    learning_rate=1e-3,
    warmup_steps=2,
    beta1=0.9,
    beta2=0.99,
    weight_decay=0.0,
    gradient_clip=1.0,
    ema_decay=0.9,
    precision="fp32",
    seed=3,
    validate_every=3,
    checkpoint_every=2,
    keep_checkpoints=2,
)
SYNC = SyncNetTraining(
    model=SyncNetConfig(image_size=SIZE, audio=AUDIO, face_width=8, dim=16),
    optimiser=OPTIMISER,
    windows_per_clip=3,
    min_shift=4,
    loss="contrastive",
    temperature=0.1,
    augment=True,
    chance_steps=0,
    half="all",
)
TRAIN = TrainConfig(
    model=ModelConfig(
        image_size=SIZE,
        audio=AUDIO,
        backbone=BackboneConfig(
            dim=8,
            heads=2,
            depths=(1, 1, 1, 1, 1),
            windows=(8, 16, 16, 16, 8),
            mlp_ratio=2.0,
            encoder_stride=2,
            stage_strides=(2, 2, 2, -2, -2),
            audio_stages=(3, 4, 5),
            skips=True,
            position_bias=True,
            mutual_shares_projection=False,
        ),
        refinement=RefinementConfig(width=8, depth=2, max_width=16, reference=True),
    ),
    discriminator=DiscriminatorConfig(width=4, layers=2, scales=2),
    optimiser=OPTIMISER,
    accumulate=1,
    discriminator_learning_rate=1e-3,
    weights=LossWeights(l1=1.0, l1_mouth=4.0, edges=1.0, gan=0.01, vgg=0.1, sync=0.01, intermediate=1.0),
    gan_form="log",
    gan_start_step=1,
    vgg_weights="random",
    vgg_layer_weights=(1, 1, 0, 0, 0),
    audio_from_syncnet=True,
    audio_frozen=True,
    min_reference_gap=5,
    consecutive=True,
    augment=True,
)
INPUTS = InputConfig(
    crop_size=64,
    align=AlignConfig((0.37, 0.31), (0.63, 0.31), 0.08, 1.0),
    mel=MelConfig(16000, 1280, 160, 80, 125.0, 7600.0, 0.1),
)


def talking_clip(name: str, frames: int = 40) -> ShardClip:
    """A face whose mouth, a bright bar, is as high as the sound is loud."""
    rng = generator("talking", name)
    loud = np.convolve(rng.random(frames + 4), np.ones(5) / 5, "valid").astype(np.float32)
    loud = (loud - loud.min()) / (loud.max() - loud.min())
    mel = np.repeat(loud, 4)[None] * np.linspace(0.2, 1, 80, dtype=np.float32)[:, None]
    jpegs = []
    for opening in loud:
        image = np.full((SIZE, SIZE, 3), 90, np.uint8)
        image[20 : 20 + round(10 * float(opening)), 8:24] = 250
        jpegs.append(encode_jpeg(image, 95))
    marks = Landmarks(
        np.zeros((frames, 2, 2), np.float32),
        np.zeros((frames, 20, 2), np.float32),
        np.ones(frames, bool),
        np.zeros((frames, 2, 3)),
    )
    return ShardClip(name, {"corpus": "c", "speaker": name}, jpegs, mel.astype(np.float32), marks)


def make_store(folder: Path) -> ClipStore:
    """Six speakers; written where they are not there yet."""
    if not folder.exists():
        folder.mkdir()
        write_shard(folder / "shard-000000.tar", [talking_clip(f"speaker{i}") for i in range(6)])
    return ClipStore(folder, image_size=SIZE, cache_bytes=1 << 30)


def make_task(kind: str, store: ClipStore, *, muon: bool = True) -> SyncNetTask | AVCATTask:
    optimiser = replace(OPTIMISER, muon=muon)
    if kind == "syncnet":
        return SyncNetTask(replace(SYNC, optimiser=optimiser), store, store, "cpu")
    torch.manual_seed(5)
    return AVCATTask(replace(TRAIN, optimiser=optimiser), store, store, SyncNet(SYNC.model), "cpu")
