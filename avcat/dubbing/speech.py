"""A network's audio input, streamed: mel windows at rising times; memory does not grow with the length."""

from collections.abc import Iterator
from math import log10
from pathlib import Path

import numpy as np

from avcat.media.audio import mono_blocks
from avcat.media.container import Notes
from avcat.media.mel import (
    COLUMNS_PER_FRAME,
    WINDOW_COLUMNS,
    MelConfig,
    cut,
    frame_count,
    gain,
    mel_chunks,
    window_starts,
)


class Speech:
    """The first audio stream of a file. It is read twice: for its length and level, then as windows are requested."""

    def __init__(self, path: str | Path, config: MelConfig, notes: Notes | None = None) -> None:
        """Raises InputError if the file is missing, empty, holds no sound or is damaged.

        `notes` as for `mono_blocks`.
        """
        self._config, power = config, 0.0
        self.samples = 0  # at `config.sample_rate`
        for block in mono_blocks(path, config.sample_rate, notes=notes):
            self.samples += block.size
            power += float(np.square(block, dtype=np.float64).sum())
        self._rms = (power / self.samples) ** 0.5 if self.samples else 0.0
        columns = frame_count(self.samples, config) * COLUMNS_PER_FRAME
        blocks = mono_blocks(path, config.sample_rate, notes=notes and Notes(path))  # noted by now
        self._chunks: Iterator[np.ndarray] = mel_chunks(blocks, gain(self._rms, config), columns, config)
        self._held = np.zeros((config.bands, 0), np.float32)
        self._first, self._ended = 0, False  # first column of `_held`

    @property
    def duration_s(self) -> float:
        """From time 0 of its container to its end."""
        return self.samples / self._config.sample_rate

    @property
    def loudness_db(self) -> float:
        """Root mean square of the whole sound in dB of full scale; minus infinity for silence."""
        return 20 * log10(self._rms) if self._rms else -np.inf

    def windows(self, times_s: np.ndarray) -> np.ndarray:
        """float32 [N, bands, 20] for frames shown from `times_s` float [N] on; times must rise from call to call.

        Equal to `cut(mel, window_starts(times_s))` of the whole spectrogram: silence (0) outside the sound.
        """
        starts = window_starts(times_s)
        self._hold(int(starts.min()), int(starts.max()) + WINDOW_COLUMNS)
        return cut(self._held, starts - self._first)

    def _hold(self, first: int, stop: int) -> None:
        """Reads up to column `stop`, and drops columns before `first`."""
        assert first >= self._first or self._first == 0, "times only rise"
        while not self._ended and self._first + self._held.shape[1] < stop:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                kept = self._held[:, min(max(0, first - self._first), self._held.shape[1]) :]
                self._first += self._held.shape[1] - kept.shape[1]
                self._held = np.concatenate([kept, chunk], axis=1)
