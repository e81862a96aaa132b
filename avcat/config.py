"""All settings of AV-CAT, as frozen dataclasses.

`params.yaml` has one section for each class below. A section is parsed strictly: an unknown or a missing
key is an error that names it. Settings that define a model are stored in its checkpoint.
Units are part of the names. Defaults are only in `params.yaml`, so each number is written once.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from avcat.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Between:
    """Allowed range of a number, both ends included."""

    low: float
    high: float


Fraction = Annotated[float, Between(0, 1)]
Rate = Annotated[float, Between(0, 1e6)]
Count = Annotated[int, Between(1, 1_000_000_000)]
Natural = Annotated[int, Between(0, 1_000_000_000)]
Seconds = Annotated[float, Between(1e-3, 1e9)]
Side = Annotated[int, Between(16, 4096)]  # of a square picture, px


def parse(cls: type[T], values: Mapping[str, Any], source: str = "params") -> T:
    """Builds the dataclass `cls` from a mapping, strictly. `source`: its origin, for messages.

    Raises InputError for an unknown key (with the nearest known one), a missing key or a value of the wrong type.
    """
    return _parse(cls, values, source, f"{source}: ")


def _parse(cls: type[T], values: Mapping[str, Any], where: str, before_keys: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a section with keys, got {values!r}")
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            raise InputError(f"{before_keys}{key}: unknown key" + (f", did you mean {near[0]!r}?" if near else ""))
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is dataclasses.MISSING:
            raise InputError(f"{before_keys}{field.name}: missing key")
    return cls(
        **{name: _convert(hints[name], values[name], f"{before_keys}{name}") for name in names if name in values}
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _parse(hint, value, where, f"{where}.")  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        number, allowed = _convert(arguments[0], value, where), arguments[1]
        if not allowed.low <= number <= allowed.high:
            raise InputError(f"{where}: expected {allowed.low} to {allowed.high}, got {value!r}")
        return number
    if origin is typing.Union or origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise InputError(f"{where}: {value!r} is not one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: expected a list, got {value!r}")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise InputError(f"{where}: expected {len(kinds)} values, got {len(value)}")
        return tuple(
            _convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: expected a section with keys, got {value!r}")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: expected a number, got {value!r}")
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InputError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def to_dict(config: Any) -> dict[str, Any]:
    """The plain mapping that `parse` turns back into the same dataclass (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    return plain(dataclasses.asdict(config))  # type: ignore[no-any-return]


# ---------------------------------------------------------------------------------------------------------------------
# Pictures and sounds


@dataclass(frozen=True)
class PretrainedConfig:
    """A network with features used in place of mels (the paper's future work): wav2vec 2.0, HuBERT, WavLM."""

    path: str  # the folder written by `save_pretrained` of transformers; AVCAT_FEATURES overrides it
    sha256: str  # of the file of its weights, or its first digits
    layer: Annotated[int, Between(0, 1000)]  # its output is used; 0: the input of the first


@dataclass(frozen=True)
class MelConfig:
    """Log-mel spectrogram (paper, section 4: 16 kHz, FFT 1280, hop 160, 80 bands; the rest is PC-AVS's recipe)."""

    sample_rate: Count
    fft_size: Count
    hop_size: Count
    bands: Count  # or the number of features of a pretrained network
    low_hz: float
    high_hz: float
    rms: float  # the whole file is scaled to this root mean square
    pretrained: PretrainedConfig | None = None  # used in place of mels; absent in older model files


@dataclass(frozen=True)
class AlignConfig:
    """Position of the eyes in the square crop, as fractions of its side, and smoothing of the crop."""

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    position_sigma_s: Seconds  # Gaussian smoothing of the eyes' midpoint and angle
    scale_sigma_s: Seconds  # of the eyes' distance: much longer, so that a turning head keeps its size
    # Height of the corners of the mouth in the crop, the clip's median, as a fraction of its side: long faces are moved
    # up and short ones down. None aligns by the eyes only, as in older files.
    mouth_height: Fraction | None = None


@dataclass(frozen=True)
class InputConfig:
    """Required inputs of a trained network; users of its checkpoint must match them."""

    crop_size: int
    align: AlignConfig
    mel: MelConfig


# ---------------------------------------------------------------------------------------------------------------------
# The rendered corpora


@dataclass(frozen=True)
class SpeakersConfig:
    """Number of rendered people per split, and of clips per person. Splits share no person."""

    train: int
    val: int
    test: int
    clips_per_speaker: int


@dataclass(frozen=True)
class CorpusConfig:
    """`synth-words` (like LRW) and `synth-wild` (like VoxCeleb), rendered by `avcat.synth`."""

    seed: int
    size: int  # side of a synth-words video in pixels; synth-wild varies around it
    words: SpeakersConfig
    wild: SpeakersConfig
    wild_seconds: tuple[float, float]  # shortest and longest synth-wild clip


# ---------------------------------------------------------------------------------------------------------------------
# The data plane


@dataclass(frozen=True)
class SourceConfig:
    """A corpus of video files."""

    kind: Literal["folder", "lrw", "voxceleb"]  # its layout: `pipelines/corpora.py`
    root: str  # its folder; `{out}` stands for the profile's output folder
    table: str | None  # a CSV with path, speaker and split, if the layout does not define them


@dataclass(frozen=True)
class RetinaFaceConfig:
    """The network of the detector `retinaface`."""

    body: Literal["resnet50", "mobilenet0.25"]
    weights: str  # file or URL
    sha256: str  # of that file, or its first digits
    max_side: int  # in pixels; larger pictures are shrunk to it
    batch_frames: Count


@dataclass(frozen=True)
class DetectorConfig:
    """The face detector."""

    kind: Literal["mediapipe", "retinaface"]
    max_faces: Count  # the largest in each picture
    min_score: Fraction  # detections below are discarded
    retinaface: RetinaFaceConfig


@dataclass(frozen=True)
class DataConfig:
    """From raw videos to shards."""

    corpora: dict[str, SourceConfig]  # by name
    mix: dict[str, Fraction]  # by name: the share of a corpus's training files that is used, 1 by default
    val_fraction: Fraction  # of the speakers, if the corpus has no split of its own
    test_fraction: Fraction
    max_clip_s: Seconds  # longer videos are cut at their shots, and into clips no longer than this
    cut_threshold: float  # of PySceneDetect's content detector, default 27
    crop_size: Side  # of the stored crops; networks of another size resize them
    jpeg_quality: Annotated[int, Between(1, 100)]
    clips_per_shard: Count
    detector: DetectorConfig
    speaker: Literal["largest", "central", "agreement"]  # how the speaker is chosen; agreement: by a SyncNet
    speaker_syncnet: str | None  # its model file
    min_frames: Natural  # shorter clips are rejected: "too short"
    max_gap_frames: Natural  # longer runs without a face reject the clip: "gap"
    min_found_fraction: Fraction  # "face not found often enough"
    min_eye_distance_px: float  # "face too small"
    min_loudness_db: float  # root mean square against full scale; quieter clips are rejected: "silent"
    max_failed_fraction: Fraction  # of all clips: above it the run fails


@dataclass(frozen=True)
class OffsetsConfig:
    """Clips with a foreign, early or late sound, as measured by SyncNet."""

    check: bool  # run the check?
    max_shift: Count  # frames searched to each side
    max_offset: Natural  # frames; more rejects the clip: "sound and picture apart"
    min_confidence: float  # of SyncNet; less rejects the clip: "sound and picture do not fit"
    correct: bool  # shifts the sound of the remaining clips by the measured offset


@dataclass(frozen=True)
class RuntimeConfig:
    """How the work is done. Changes no result except by rounding in training, so no stage depends on it."""

    storage: str  # location of out/ and state/: a folder, or a URL such as s3://bucket/folder (docs/cluster.md)
    num_cpus: Natural  # of a Ray instance that we start ourselves; 0 takes all
    workers: Natural  # actors of one pipeline; 0 takes one per CPU
    worker_gpus: float  # the share of a GPU per actor, if its detector can use one
    clip_limit_s: Seconds  # decoding a clip for longer is aborted, and the clip counts as failed
    device: Literal["auto", "cpu", "cuda"]  # of training, and of detectors that can use it
    compile: bool  # networks by torch.compile, useful on a GPU: minutes at the start, then faster steps
    train_workers: Count  # processes that train one network; 1: the stage's own process; more are placed by Ray
    threads: Natural  # of a training process; 0 takes the cores that other programs leave free
    loader_threads: Count  # for its batches
    broken_shards: Literal["stop", "skip"]  # what training does if one cannot be read; skipping changes the result


@dataclass(frozen=True)
class EvaluateConfig:
    """How a method is scored (paper, section 4.1)."""

    clips_per_corpus: int  # test clips, chosen by content; 0 takes all
    batch_frames: Count
    sync_max_shift: int  # frames to each side
    bootstrap_samples: Count
    seed: int
    lpips_weights: str | None  # torchvision's AlexNet; null: no LPIPS
    syncnet: str | None  # the official one, `syncnet_v2.model`; null: no LSE


# ---------------------------------------------------------------------------------------------------------------------
# Networks


@dataclass(frozen=True)
class AudioEncoderConfig:
    """E_a: a ResNet-SE over one 80 x 20 mel window with attention pooling over time."""

    # PC-AVS's ResNetSE-34, or five plain convolutions; "features" for those of a pretrained network
    kind: Literal["resnet_se", "small", "features"]
    width: int  # channels of the first level
    dim: int  # of f_a
    bands: int = 80  # of its input, `mel.bands`; absent in older model files


@dataclass(frozen=True)
class BackboneConfig:
    """The convolution-Transformer hybrid (paper, section 3.2)."""

    dim: int  # C_0
    heads: int
    depths: tuple[int, int, int, int, int]
    windows: tuple[int, int, int, int, int]
    mlp_ratio: float
    encoder_stride: int  # image side / side of F: 2 keeps a quarter of the area
    stage_strides: tuple[int, int, int, int, int]  # 2 halves the map's side before the stage, -2 doubles it, 1 keeps it
    audio_stages: tuple[int, ...]  # 1-based; the paper injects audio into 3, 4, 5
    skips: bool  # from stages 1 and 2 to 5 and 4, as in MAT; the paper mentions none
    position_bias: bool  # a learned bias per relative position, as in Swin; equation 1 has none
    mutual_shares_projection: bool  # MMA takes q, k, v and output weights from the MSA instead of having its own


@dataclass(frozen=True)
class RefinementConfig:
    """The U-Net of modulated convolutions (paper, section 3.3)."""

    width: int  # channels at full resolution
    depth: int  # number of times the side is halved
    max_width: int
    reference: bool  # its input includes the reference; not in the paper, except "RN only"


@dataclass(frozen=True)
class Wav2LipConfig:
    """Wav2Lip's generator (Prajwal et al. 2020)."""

    image_size: Side  # published: 96
    width: int  # channels at full resolution; published: 16


@dataclass(frozen=True)
class ModelConfig:
    """A whole AV-CAT generator."""

    image_size: Side
    audio: AudioEncoderConfig
    backbone: BackboneConfig | None  # None: "RN only", the U-Net refines the masked frame
    refinement: RefinementConfig | None  # None: "w/o RN", the backbone's own output
    wav2lip: Wav2LipConfig | None = None  # in the backbone's place: "Wav2Lip-L + RN"; absent in older model files


@dataclass(frozen=True)
class PCAVSConfig:
    """PC-AVS's encoders and generator (Zhou et al. 2021)."""

    image_size: Side
    audio: AudioEncoderConfig
    width: int  # channels at full resolution, of the generator; published: 128
    encoder_width: int  # of both encoders
    max_width: int  # published: 512
    identity_dim: int  # published: 2048
    mouth_dim: int  # published: 500
    pose_dim: int  # published: 12


@dataclass(frozen=True)
class MakeItTalkConfig:
    """MakeItTalk's landmark predictor and its U-Net (Zhou et al. 2020)."""

    image_size: Side
    audio: AudioEncoderConfig
    hidden: int  # of the LSTMs; published: 256
    lstm_layers: int  # of the content branch; published: 3
    width: int  # channels at full resolution, of the U-Net
    depth: int  # number of times it halves the side
    max_width: int


@dataclass(frozen=True)
class SyncNetConfig:
    """SyncNet: five lower halves of the crop against one mel window, in one embedding space."""

    image_size: Side
    audio: AudioEncoderConfig
    face_width: int
    dim: int


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Multi-scale patch discriminator (pix2pixHD), unconditional."""

    width: int
    layers: int
    scales: int


# ---------------------------------------------------------------------------------------------------------------------
# Training


@dataclass(frozen=True)
class OptimiserConfig:
    muon: bool  # matrices and kernels by Muon, the rest by AdamW; False: everything by AdamW
    steps: Count
    batch_clips: Count  # global batch: each clip contributes 5 consecutive frames
    learning_rate: Rate
    warmup_steps: Natural
    beta1: Fraction
    beta2: Fraction
    gradient_clip: Rate
    ema_decay: Fraction
    precision: Literal["auto", "fp32", "bf16", "fp16"]  # auto: bf16 if the device has instructions for it, else fp32
    seed: Natural
    validate_every: Count
    checkpoint_every: Count
    keep_checkpoints: Count


@dataclass(frozen=True)
class SyncNetTraining:
    model: SyncNetConfig
    optimiser: OptimiserConfig
    windows_per_clip: int  # hard negatives: number of windows of one clip in a batch
    min_shift: int  # frames, the least distance of two windows of one clip
    loss: Literal["contrastive", "cosine_bce"]  # each window against the whole batch, or pairs as in Wav2Lip
    temperature: float  # of the contrastive loss
    augment: bool
    chance_steps: int  # training stops with a reason if validation is still at chance after this many steps; 0: never
    half: Literal["all", "even", "odd"]  # of the training speakers: loss and evaluation can use different people


@dataclass(frozen=True)
class LossWeights:
    l1: float  # not in the paper (0 there)
    l1_mouth: float  # weight of L1 at the aligned mouth's place relative to elsewhere; 1: uniform
    edges: float  # not in the paper: L1 of differences between neighbouring pixels, so that lips get sharp sooner
    gan: float
    vgg: float
    sync: float
    intermediate: float  # factor of l1, edges and vgg on the backbone's own output I^p


@dataclass(frozen=True)
class GeneratorTraining:
    """Common settings of all networks that redraw faces and have an adversary."""

    optimiser: OptimiserConfig
    accumulate: Count  # gradient accumulation: sequential parts of a process's batch, to save memory
    discriminator_learning_rate: Rate
    gan_form: Literal["log", "hinge"]
    min_reference_gap: int  # least number of frames between the window and its reference
    consecutive: bool  # False: five frames from anywhere in the clip, more variety per step; the sync loss needs True
    augment: bool


@dataclass(frozen=True)
class TrainConfig(GeneratorTraining):
    """AV-CAT and its ablations."""

    model: ModelConfig
    discriminator: DiscriminatorConfig
    weights: LossWeights
    sync_form: Literal["cosine", "bce"]  # 1 - cosine, or -log of a match as in Wav2Lip
    vgg_weights: str  # imagenet, random, or a path
    vgg_layer_weights: tuple[float, float, float, float, float]
    audio_from_syncnet: bool
    audio_frozen: bool


@dataclass(frozen=True)
class Wav2LipWeights:
    """Total: sync L_sync + gan L_gan + (1 - sync - gan) (L1 + edges L_edges)."""

    sync: float  # published: 0.03, once the gate is open
    gan: float  # published: 0.07
    l1_mouth: float  # published: 1
    edges: float  # published: 0


@dataclass(frozen=True)
class Wav2LipTraining(GeneratorTraining):
    model: Wav2LipConfig
    discriminator_width: int  # of the quality discriminator; published: 32
    weights: Wav2LipWeights
    sync_gate: float | None  # the sync loss is used once its held-out value is below this (published: 0.75, the same
    # cosine as 0.31 here); null: from the first step


@dataclass(frozen=True)
class PCAVSWeights:
    gan: float  # published: 1
    vgg: float  # published: 10
    features: float  # of the discriminator; published: 10
    contrastive: float  # between codes of mouths and sounds; published: 100
    l1: float  # published: 0
    l1_mouth: float
    edges: float  # published: 0


@dataclass(frozen=True)
class PCAVSTraining(GeneratorTraining):
    model: PCAVSConfig
    discriminator: DiscriminatorConfig
    weights: PCAVSWeights
    temperature: float  # of the contrastive loss
    vgg_weights: str
    vgg_layer_weights: tuple[float, float, float, float, float]
    audio_from_syncnet: bool
    audio_frozen: bool


@dataclass(frozen=True)
class MakeItTalkWeights:
    landmarks: float  # L1 of positions, published: squared
    shape: float  # of each point relative to its neighbours' mean, published: 1
    l1: float  # published: 1
    l1_mouth: float
    edges: float  # published: 0
    vgg: float  # published: 1
    style: float  # Gram matrices of the same layers; published: 1


@dataclass(frozen=True)
class MakeItTalkTraining:
    model: MakeItTalkConfig
    optimiser: OptimiserConfig
    weights: MakeItTalkWeights
    sequence_frames: int  # per training sequence of the landmark predictor; published: 18
    vgg_weights: str
    vgg_layer_weights: tuple[float, float, float, float, float]
    audio_from_syncnet: bool
    audio_frozen: bool
    min_reference_gap: int
    augment: bool  # colour changes, but no mirroring: landmarks have sides


@dataclass(frozen=True)
class BaselinesConfig:
    """The paper's baselines, trained on the same shards."""

    wav2lip: Wav2LipTraining
    wav2lip_l: Wav2LipTraining  # the wider one
    pc_avs: PCAVSTraining
    makeittalk: MakeItTalkTraining
