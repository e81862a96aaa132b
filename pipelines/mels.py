"""One log-mel spectrogram a clip: `<clip_id>.npy`, float32 [80, 4 T]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avcat.config import DataConfig, MelConfig, RuntimeConfig
from avcat.files import atomic_path
from avcat.media.audio import load_audio
from avcat.media.mel import COLUMNS_PER_FRAME, mel_spectrogram
from pipelines.manifest import read_manifest, video_path
from pipelines.outcome import check_failures, outcome_of, summary, write_outcomes
from pipelines.parallel import Progress, parallel


def compute_mels(
    config: MelConfig,
    data: DataConfig,
    manifest: Path,
    out: Path,
    *,
    runtime: RuntimeConfig,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes the mels of all clips of the manifest to the folder `out`; returns the counts. Ray must be connected.

    Raises InputError where more than `data.max_failed_fraction` fail.
    """
    rows = read_manifest(manifest)
    settings = {"config": config, "out": out.resolve(), "here": Path.cwd()}
    outcomes = []
    for position, result in parallel(rows, MelWorker, settings, workers=runtime.workers, progress=progress):
        row = rows[position]
        frames = result if isinstance(result, int) else 0
        outcomes.append(outcome_of(row["clip_id"], row["corpus"], row["split"], result, frames, frames))
    check_failures(outcomes, data.max_failed_fraction)
    write_outcomes(out / "outcomes.parquet", outcomes)
    return summary(outcomes)


class MelWorker:
    """The worker: writes one file, returns its number of frames."""

    def __init__(self, config: MelConfig, out: Path, here: Path) -> None:
        self._config, self._out, self._here = config, out, here

    def __call__(self, row: Mapping[str, Any]) -> int:
        rate = self._config.sample_rate
        samples = load_audio(video_path(row, self._here), rate)
        clip = samples[round(row["start_s"] * rate) : round(row["end_s"] * rate)]
        mel = mel_spectrogram(clip, self._config)
        with atomic_path(self._out / f"{row['clip_id']}.npy") as part:
            np.save(part, mel)
        return mel.shape[1] // COLUMNS_PER_FRAME
