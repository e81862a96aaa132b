"""One log-mel spectrogram per clip, float32 [80, 4 T]: `train-000000.npz` holds those of a shard, by clip id."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import avcat.media
from avcat.files import write
from avcat.media.audio import load_audio, loudness_db
from avcat.media.mel import COLUMNS_PER_FRAME, MelConfig, mel_spectrogram
from pipelines.clips import read_manifest, reading
from pipelines.grouped import publish, work_grouped
from pipelines.outcome import Outcome, Rejected, after, check_failures, outcome_of, read_outcomes, summary
from pipelines.parallel import Progress, Usage
from pipelines.settings import DataConfig, RuntimeConfig
from pipelines.state import alone, code_hash, fingerprint

STAGE = "mels"
TOGETHER = 8  # clips that a worker is given at once: the mel of one takes 15 ms


def compute_mels(
    config: MelConfig,
    data: DataConfig,
    manifest: Path,
    before: Path,
    out: Path,
    state: Path,
    *,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes the mels of all clips of the manifest to the folder `out`; returns the counts. Ray must be connected.

    `before` are the outcomes that came with the manifest. Raises InputError if too many clips fail.
    """
    clips, usage = read_manifest(manifest), Usage()
    with alone(state):
        outcomes = work_grouped(
            clips,
            MelWorker,
            {"config": config, "min_loudness_db": data.min_loudness_db, "here": Path.cwd()},
            _write_group,
            suffix=".npz",
            state=state,
            made_of=fingerprint(config, data.min_loudness_db, code_hash(avcat.media)),
            workers=runtime.workers,
            limit_s=runtime.clip_limit_s,
            together=TOGETHER,
            usage=usage,
            progress=progress,
        )
        outcomes = after(read_outcomes(before), outcomes)
        check_failures(outcomes, data.max_failed_fraction)
        publish(clips, outcomes, suffix=".npz", state=state, out=out)
    return summary(outcomes) | {"worker_cpu_s": usage.cpu_s}


class MelWorker:
    """The worker: the mel of one clip, float32 [80, 4 T]."""

    def __init__(self, config: MelConfig, min_loudness_db: float, here: Path) -> None:
        self._config, self._min_loudness_db, self._here = config, min_loudness_db, here

    def __call__(self, row: Mapping[str, Any]) -> np.ndarray:
        with reading(row, self._here) as path:
            samples = load_audio(path, self._config.sample_rate, row["start_s"], row["end_s"])
        if loudness_db(samples) < self._min_loudness_db:
            raise Rejected("silent")
        return mel_spectrogram(samples, self._config)


def _write_group(path: Path, rows: Sequence[Mapping[str, Any]], results: Sequence[Any]) -> list[Outcome]:
    mels = {row["clip_id"]: mel for row, mel in zip(rows, results, strict=True) if isinstance(mel, np.ndarray)}
    packed = io.BytesIO()  # a zip that cannot be finished, on a full disk, would complain once more
    np.savez(packed, **mels)
    write(path, packed.getvalue())
    frames = [mel.shape[1] // COLUMNS_PER_FRAME if isinstance(mel, np.ndarray) else 0 for mel in results]
    return [outcome_of(STAGE, *each) for each in zip(rows, results, frames, frames, strict=True)]
