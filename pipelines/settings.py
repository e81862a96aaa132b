"""Settings of the data plane, and of the machine it runs on."""

from typing import Annotated, Literal

from pydantic import Field

from avcat.face.detector import DetectorConfig
from avcat.settings import Count, Fraction, Natural, Seconds, Side, settings


@settings
class SourceConfig:
    """A corpus of video files."""

    kind: Literal["folder", "lrw", "lrs2", "lrs3", "voxceleb"]  # layouts.py
    root: str  # its folder; `{out}`: the profile's output; `{corpora}`: AVCAT_CORPORA
    table: str | None = None  # a CSV with path, speaker and split, if the layout does not define them
    one_person: bool = False  # one person's own minutes, who may be in several splits


@settings
class DataConfig:
    """From raw videos to shards."""

    corpora: dict[str, SourceConfig]  # by name; in a profile, null takes one away
    mix: dict[str, Fraction]  # by name: the share of a corpus's training files that is used, 1 by default
    val_fraction: Fraction  # of the speakers, if the corpus has no split of its own
    test_fraction: Fraction
    max_clip_s: Seconds  # longer videos are cut at their shots, and into clips no longer than this
    cut_threshold: float  # of PySceneDetect's content detector, default 27
    crop_size: Side  # of the stored crops; networks of another size resize them
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
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


@settings
class RuntimeConfig:
    """How the work is done. Changes no result except by rounding in training, so no stage depends on it."""

    storage: str  # location of out/ and state/: a folder, or a URL such as s3://bucket/folder (docs/cluster.md)
    num_cpus: Natural  # of a Ray instance that we start ourselves; 0 takes all
    workers: Natural  # actors of one pipeline; 0 takes one per CPU
    worker_gpus: float  # the least share of a GPU per actor: a quarter, so at most four share its memory
    clip_limit_s: Seconds  # decoding a clip for longer is aborted, and the clip counts as failed
    device: Literal["auto", "cpu", "cuda"]  # of training, and of detectors that can use it
    compile: bool  # networks by torch.compile, useful on a GPU: minutes at the start, then faster steps
    train_workers: Count  # processes that train one network; 1: the stage's own process; more are placed by Ray
    threads: Natural  # of a training process; 0 takes the cores that other programs leave free
    loader_threads: Count  # for its batches
    broken_shards: Literal["stop", "skip"]  # what training does if one cannot be read; skipping changes the result
