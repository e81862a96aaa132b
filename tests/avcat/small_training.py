"""Trainings small enough for tests: settings, clips that talk, tasks."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avcat.data.inputs import InputConfig
from avcat.data.shards import Landmarks, ShardClip, write_shard
from avcat.data.windows import ClipStore
from avcat.face.align import AlignConfig
from avcat.media.mel import MelConfig
from avcat.media.pictures import jpeg
from avcat.methods.avcat.backbone import BackboneConfig
from avcat.methods.avcat.model import ModelConfig
from avcat.methods.avcat.refinement import RefinementConfig
from avcat.methods.avcat.task import AVCATTask, LossWeights, TrainConfig
from avcat.methods.makeittalk.model import MakeItTalkConfig
from avcat.methods.makeittalk.task import MakeItTalkTask, MakeItTalkTraining, MakeItTalkWeights
from avcat.methods.pc_avs.model import PCAVSConfig
from avcat.methods.pc_avs.task import PCAVSTask, PCAVSTraining, PCAVSWeights
from avcat.methods.syncnet.model import SyncNet, SyncNetConfig
from avcat.methods.syncnet.task import SyncNetTask, SyncNetTraining
from avcat.methods.wav2lip.model import Wav2LipConfig
from avcat.methods.wav2lip.task import Wav2LipTask, Wav2LipTraining, Wav2LipWeights
from avcat.methods.wav2lip_rn.model import Wav2LipRNConfig
from avcat.methods.wav2lip_rn.task import Wav2LipRNTask, Wav2LipRNTraining
from avcat.nn.audio import AudioEncoderConfig
from avcat.nn.discriminator import DiscriminatorConfig
from avcat.seeding import rng_of
from avcat.training.optimiser import OptimiserConfig

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
        ),
        refinement=RefinementConfig(width=8, depth=2, max_width=16, reference=True),
    ),
    discriminator=DiscriminatorConfig(width=4, layers=2, scales=2),
    optimiser=OPTIMISER,
    accumulate=1,
    discriminator_learning_rate=1e-3,
    weights=LossWeights(l1=1.0, edges=1.0, gan=0.01, vgg=0.1, sync=0.01),
    l1_mouth=4.0,
    intermediate=1.0,
    sync_form="cosine",
    gan_form="log",
    vgg_weights="random",
    vgg_layer_weights=(1, 1, 0, 0, 0),
    audio_from_syncnet=True,
    audio_frozen=True,
    min_reference_gap=5,
    consecutive=True,
    augment=True,
)
_SHARED = {
    "optimiser": OPTIMISER,
    "min_reference_gap": 5,
    "augment": True,
    "l1_mouth": 1.0,
}
_ADVERSARIAL = _SHARED | {
    "accumulate": 1,
    "discriminator_learning_rate": 1e-3,
    "gan_form": "log",
    "consecutive": True,
}
_HEARING = {
    "vgg_weights": "random",
    "vgg_layer_weights": (1, 1, 0, 0, 0),
    "audio_from_syncnet": True,
    "audio_frozen": True,
}
WAV2LIP = Wav2LipTraining(
    model=Wav2LipConfig(image_size=SIZE, width=4),
    discriminator_width=4,
    weights=Wav2LipWeights(sync=0.03, gan=0.07, edges=0.0),
    sync_gate=0.31,
    **_ADVERSARIAL,
)
WAV2LIP_RN = Wav2LipRNTraining(
    **{field.name: getattr(TRAIN, field.name) for field in fields(TRAIN) if field.name != "model"},
    model=Wav2LipRNConfig(image_size=SIZE, audio=AUDIO, width=4, refinement=TRAIN.model.refinement),
)
PC_AVS = PCAVSTraining(
    model=PCAVSConfig(
        image_size=SIZE,
        audio=AUDIO,
        width=8,
        encoder_width=8,
        max_width=16,
        identity_dim=16,
        mouth_dim=8,
        pose_dim=4,
    ),
    discriminator=DiscriminatorConfig(width=4, layers=2, scales=2),
    weights=PCAVSWeights(gan=0.01, vgg=0.1, features=0.1, contrastive=0.1, l1=1.0, edges=0.0),
    temperature=0.1,
    **_ADVERSARIAL,
    **_HEARING,
)
MAKEITTALK = MakeItTalkTraining(
    model=MakeItTalkConfig(image_size=SIZE, audio=AUDIO, hidden=8, lstm_layers=1, width=8, depth=2, max_width=16),
    weights=MakeItTalkWeights(landmarks=10.0, shape=1.0, l1=1.0, edges=0.0, vgg=0.1, style=0.1),
    sequence_frames=18,
    **_SHARED,
    **_HEARING,
)
METHODS: dict[str, tuple[Any, Any]] = {
    "avcat": (TRAIN, AVCATTask),
    "wav2lip_rn": (WAV2LIP_RN, Wav2LipRNTask),
    "wav2lip": (WAV2LIP, Wav2LipTask),
    "pc_avs": (PC_AVS, PCAVSTask),
    "makeittalk": (MAKEITTALK, MakeItTalkTask),
}
KINDS = ("syncnet", *METHODS)
INPUTS = InputConfig(
    crop_size=64,
    align=AlignConfig((0.37, 0.31), (0.63, 0.31), 0.08, 1.0),
    mel=MelConfig(16000, 1280, 160, 80, 125.0, 7600.0, 0.1),
)


def talking_clip(name: str, frames: int = 40) -> ShardClip:
    """A face with a bright bar as its mouth, as high as the sound is loud."""
    rng = rng_of("talking", name)
    loud = np.convolve(rng.random(frames + 4), np.ones(5) / 5, "valid").astype(np.float32)
    loud = (loud - loud.min()) / (loud.max() - loud.min())
    mel = np.repeat(loud, 4)[None] * np.linspace(0.2, 1, 80, dtype=np.float32)[:, None]
    jpegs = []
    for opening in loud:
        image = np.full((SIZE, SIZE, 3), 90, np.uint8)
        image[20 : 20 + round(10 * float(opening)), 8:24] = 250
        jpegs.append(jpeg(image, 95))
    eyes = np.tile(np.array([[10, 10], [22, 10]], np.float32), (frames, 1, 1))
    marks = Landmarks(eyes, bar_points(loud), np.ones(frames, bool), np.zeros((frames, 2, 3)))
    return ShardClip(name, {"corpus": "c", "speaker": name}, jpegs, mel.astype(np.float32), marks)


def bar_points(loud: np.ndarray) -> np.ndarray:
    """The mouth's 20 points `[T, 20, 2]` px: the left half of them along the bar's upper edge, the others below it."""
    along = np.concatenate(
        [np.linspace(8, 24, 6), np.linspace(24, 8, 6), np.linspace(10, 22, 4), np.linspace(22, 10, 4)]
    )
    lower = np.repeat([0, 1, 0, 1], [6, 6, 4, 4])
    return np.stack(np.broadcast_arrays(along[None], 20 + 10 * loud[:, None] * lower), -1).astype(np.float32)


def make_store(folder: Path) -> ClipStore:
    """Six speakers; written if they do not exist yet."""
    if not folder.exists():
        folder.mkdir()
        write_shard(folder / "shard-000000.tar", [talking_clip(f"speaker{i}") for i in range(6)])
    return ClipStore(folder, image_size=SIZE, cache_bytes=1 << 30)


def make_task(kind: str, store: ClipStore, *, muon: bool = True) -> Any:
    """A task of one of `KINDS` that trains and validates on the clips of `store`."""
    optimiser = replace(OPTIMISER, muon=muon)
    if kind == "syncnet":
        return SyncNetTask(replace(SYNC, optimiser=optimiser), store, store, None, "cpu")
    torch.manual_seed(5)
    config, task = METHODS[kind]
    return task(replace(config, optimiser=optimiser), store, store, SyncNet(SYNC.model), "cpu")
