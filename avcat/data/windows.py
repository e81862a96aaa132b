"""What one training sample is: five consecutive frames, their sounds, and a reference frame from elsewhere.

A batch is a pure function of the seed and the step, so training resumes exactly wherever it stopped.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from avcat.ahead import side_by_side
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.shards import open_shards
from avcat.errors import InputError
from avcat.files import read_table
from avcat.media.mel import WINDOW_COLUMNS, mel_windows, shifted
from avcat.seeding import rng_of

log = logging.getLogger(__name__)

FRAMES_PER_TURN = 50  # per epoch a clip comes up once for each two seconds of its length, at least once


@dataclass(frozen=True)
class Batch:
    """W windows, uint8 RGB and float32 mels in 0..1."""

    frames: np.ndarray  # uint8 [W, 5, S, S, 3]
    references: np.ndarray  # uint8 [W, S, S, 3]
    mels: np.ndarray  # float32 [W, 5, bands, 20]: the window of each frame; that of the third is SyncNet's
    clips: np.ndarray  # int64 [W]: which clip each window comes from
    at: np.ndarray  # int64 [W, 6]: which frames of it: the window's five, then its reference


class Clips(ABC):
    """Clips of talking faces that windows are taken from. Threads may share it."""

    image_size: int
    bands: int  # of the mels, or features
    lengths: Sequence[int]  # frames per clip
    threads = 1  # that prepare batches in advance
    skip_broken = False  # whether to leave out what cannot be read, instead of raising InputError

    def __len__(self) -> int:
        return len(self.lengths)

    def frames(self, clip: int, at: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames number `at` of a clip, `uint8 [n, S, S, 3]`."""
        out = np.empty((len(at), self.image_size, self.image_size, 3), np.uint8)
        self.read_frames(clip, at, out)
        return out

    @abstractmethod
    def read_frames(self, clip: int, at: Sequence[int] | np.ndarray, out: Iterable[np.ndarray]) -> None:
        """Frames number `at` of a clip into the pictures of `out`, `uint8 [S, S, 3]`."""

    @abstractmethod
    def mel(self, clip: int) -> np.ndarray:
        """`float32 [bands, 4 T]`."""


class MarkedClips(Clips):
    """Clips with landmarks."""

    @abstractmethod
    def landmarks(self, clip: int) -> np.ndarray:
        """`float32 [T, 22, 2]`: the mouth's 20 points and the eyes, as fractions of the crop's side."""


class ClipStore(MarkedClips):
    """All clips of some shards, as crops of `image_size` and mels, decoded once, up to `cache_bytes`.

    Threads may share it.
    """

    def __init__(
        self,
        shards: Path,
        *,
        image_size: int,
        cache_bytes: int,
        half: str = "all",
        first: int | None = None,
        offsets: Path | None = None,
        threads: int = 1,
        skip_broken: bool = False,
    ) -> None:
        """`half` keeps all speakers, or those of even or odd rank among the sorted speakers; `first` keeps that many
        of their clips, in shard order. `offsets` are clips to leave out and sounds to move (`schema.OFFSETS`).
        `threads` prepare batches in advance.

        A broken shard raises InputError with its name, now or when a frame of it is read; with `skip_broken` it is
        left out and logged.
        """
        self.image_size, self._left = image_size, cache_bytes
        self.threads, self.skip_broken = threads, skip_broken
        said = {row["clip_id"]: row for row in read_table(offsets).to_pylist()} if offsets else {}
        unwanted = {clip_id for clip_id, row in said.items() if row["reason"]}
        self._moves = {clip_id: row["move"] for clip_id, row in said.items() if row["move"]}
        columns = ["clip_id", "corpus", "speaker", "frames"]
        table = [
            (row, reader, i)
            for reader in open_shards(shards, skip_broken=skip_broken)
            for i, row in enumerate(reader.clips.select(columns).to_pylist())
            if row["clip_id"] not in unwanted
        ]
        speakers = sorted({(row["corpus"], row["speaker"]) for row, _, _ in table})
        kept = set({"all": speakers, "even": speakers[::2], "odd": speakers[1::2]}[half])
        self.rows = [
            (row, reader, i)
            for row, reader, i in table
            if (row["corpus"], row["speaker"]) in kept and row["frames"] >= WINDOW_FRAMES
        ][:first]
        if not self.rows:
            raise InputError(f"{shards}: no clip of {WINDOW_FRAMES} frames or more")
        self.lengths = [row["frames"] for row, _, _ in self.rows]
        self.bands = self.rows[0][1].bands  # or features, of the sounds
        self._cache: dict[int, np.ndarray] = {}
        self._mels: dict[int, np.ndarray] = {}
        self._crop_size: int | None = None  # of the stored crops; landmarks are in their pixels
        self._lock = Lock()

    def read_frames(self, clip: int, at: Sequence[int] | np.ndarray, out: Iterable[np.ndarray]) -> None:
        """As `Clips.read_frames`."""
        _, reader, i = self.rows[clip]
        length, side = self.lengths[clip], self.image_size
        if clip not in self._cache and self._take(length * side**2 * 3):
            whole = np.empty((length, side, side, 3), np.uint8)
            reader.read_frames(i, range(length), whole)
            self._cache[clip] = whole
        if clip in self._cache:
            for frame, place in zip(at, out, strict=True):
                place[:] = self._cache[clip][frame]
        else:
            reader.read_frames(i, at, out)

    def mel(self, clip: int) -> np.ndarray:
        """`float32 [bands, 4 T]`."""
        if clip in self._mels:
            return self._mels[clip]
        row, reader, i = self.rows[clip]
        mel, move = reader.mel(i), self._moves.get(row["clip_id"], 0)
        mel = shifted(mel, move) if move else mel
        if self._take(mel.nbytes):
            self._mels[clip] = mel
        return mel

    def landmarks(self, clip: int) -> np.ndarray:
        """As `MarkedClips.landmarks`."""
        _, reader, i = self.rows[clip]
        if self._crop_size is None:
            self._crop_size = reader.frames(i, 0, 1).shape[1]
        marks = reader.landmarks(i)
        return (np.concatenate((marks.mouth, marks.eyes), 1) + 0.5) / np.float32(self._crop_size)

    def _take(self, size: int) -> bool:
        """Reserves `size` bytes of the cache; returns whether they were free."""
        with self._lock:
            fits = size <= self._left
            self._left -= size if fits else 0
            return fits


class WindowSampler:
    """Batches of windows: `clips` clips, `windows` windows of each, the starts at least `min_shift` frames apart.

    Clips come in epochs of seeded order. If a clip is too short for its windows, the shift shrinks to what fits.
    Without `consecutive` a window's five frames come from anywhere in the clip, in order. `share` names the clips of
    each batch that are made here, if other processes make the rest.
    """

    def __init__(
        self,
        store: Clips,
        *,
        seed: int,
        clips: int,
        windows: int = 1,
        min_shift: int = 1,
        min_gap: int = WINDOW_FRAMES,
        consecutive: bool = True,
        share: range | None = None,
    ) -> None:
        self.store, self.seed, self.clips, self.windows = store, seed, clips, windows
        self.share = range(clips) if share is None else share
        self.min_shift, self.min_gap, self.consecutive = min_shift, min_gap, consecutive
        turns = [max(1, round(n / FRAMES_PER_TURN)) for n in store.lengths]
        self._turns = np.repeat(np.arange(len(store)), turns)
        self._epoch: tuple[int, np.ndarray] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of one step, or our share of it."""
        count, side = len(self.share) * self.windows, self.store.image_size
        batch = Batch(
            frames=np.empty((count, WINDOW_FRAMES, side, side, 3), np.uint8),
            references=np.empty((count, side, side, 3), np.uint8),
            mels=np.empty((count, WINDOW_FRAMES, self.store.bands, WINDOW_COLUMNS), np.float32),
            clips=np.empty(count, np.int64),
            at=np.empty((count, WINDOW_FRAMES + 1), np.int64),
        )
        draws = rng_of("windows", self.seed, step).random((self.clips, self.windows, WINDOW_FRAMES + 1))
        for n, i in enumerate(self.share):  # a random generator for each would cost as much as decoding half a frame
            part = slice(n * self.windows, (n + 1) * self.windows)
            self._fill_with_readable(batch, part, step * self.clips + i, draws[i])
        return batch

    def prefetch(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps start .. stop - 1, made in the store's threads while the caller works."""
        return side_by_side(self.batch, range(start, stop), self.store.threads)

    def _fill_with_readable(self, batch: Batch, part: slice, number: int, draws: np.ndarray) -> None:
        """The windows of a turn's clip or, if broken ones may be skipped, of the first after it that can be read."""
        for later in range(len(self._turns) if self.store.skip_broken else 1):
            try:
                self._fill(batch, part, self._clip(number + later), draws)
            except InputError as error:
                broken = error
                if self.store.skip_broken:
                    log.warning("%s; another clip takes its place", error)
            else:
                return
        raise broken

    def _clip(self, number: int) -> int:
        epoch, place = divmod(number, len(self._turns))
        order = self._epoch  # other threads may be in another epoch
        if order is None or order[0] != epoch:
            order = self._epoch = (epoch, rng_of("epoch", self.seed, epoch).permutation(self._turns))
        return int(order[1][place])

    def _fill(self, batch: Batch, part: slice, clip: int, draws: np.ndarray) -> None:
        """Puts windows of a clip into a part of a batch: places from draws [windows, WINDOW_FRAMES + 1] in 0..1."""
        length = self.store.lengths[clip]
        if self.consecutive:
            starts = spaced_starts(length - WINDOW_FRAMES + 1, self.min_shift, draws[:, 0])
            at = starts[:, None] + np.arange(WINDOW_FRAMES)
        else:
            at = np.stack([spaced_starts(length, 1, row) for row in draws[:, :WINDOW_FRAMES]])
        references = [
            reference_for(frames, length, self.min_gap, u) for frames, u in zip(at, draws[:, -1], strict=True)
        ]
        pictures = [*batch.frames[part].reshape(at.size, *batch.frames.shape[2:]), *batch.references[part]]
        self.store.read_frames(clip, [*at.ravel().tolist(), *references], pictures)
        windows = mel_windows(self.store.mel(clip), at.ravel())
        batch.mels[part] = windows.reshape(*at.shape, *windows.shape[1:])
        batch.clips[part], batch.at[part] = clip, np.column_stack((at, references))


def spaced_starts(places: int, min_shift: int, draws: np.ndarray) -> np.ndarray:
    """Sorted starts in 0 .. places - 1, one for each draw in 0..1, `min_shift` apart or as far apart as possible."""
    count = len(draws)
    shift = min(min_shift, (places - 1) // (count - 1)) if count > 1 else 0
    free = places - shift * (count - 1)
    return np.sort((draws * free).astype(np.int64)) + shift * np.arange(count)


def reference_for(window: np.ndarray, length: int, min_gap: int, draw: float) -> int:
    """A frame at least `min_gap` frames from all frames of the window, by a draw in 0..1; the farthest if none is."""
    far = np.ones(length, bool)
    for frame in window.tolist():
        far[max(0, frame - min_gap + 1) : frame + min_gap] = False
    places = np.flatnonzero(far)
    if len(places):
        return int(places[int(draw * len(places))])
    return int(np.abs(np.arange(length)[:, None] - window).min(1).argmax())
