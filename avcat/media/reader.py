"""Random access to the frames of a video: walks forwards and backwards are cheap; memory is independent of length."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from avcat.errors import InputError
from avcat.media.container import Notes
from avcat.media.video import Frame, decode

_HELD_BYTES = 128 * 2**20  # of frames decoded in advance for a walk backwards
_HELD_FRAMES = 64
_WALKED_OVER = 64  # frames that are skipped by decoding them; more, by seeking


class FrameReader:
    """Frames of one file by their number, as `decode` with `notes` gives them.

    Walking backwards decodes a stretch at a time and returns it in reverse.
    """

    def __init__(self, path: str | Path, times_s: np.ndarray) -> None:
        """`times_s`: float64 [T], when each frame is shown, as given by `decode`."""
        self._path, self._times_s = path, times_s
        self._held: dict[int, np.ndarray] = {}
        self._ahead: Iterator[Frame] = iter(())
        self._next = -_WALKED_OVER  # number of the frame that `_ahead` gives next

    def __getitem__(self, number: int) -> np.ndarray:
        """uint8 [height, width, 3] RGB; read-only."""
        if number not in self._held:
            if number + 1 in self._held:
                self._hold_up_to(number)
            else:
                self._held = {number: self._read(number)}
        return self._held[number]

    def _read(self, number: int) -> np.ndarray:
        if not 0 <= number - self._next < _WALKED_OVER:
            self._ahead, self._next = self._from(number), number
        frame = next(islice(self._ahead, number - self._next, None), None)
        self._next = number + 1
        if frame is None:
            raise self._lost(number)
        return frame.image

    def _hold_up_to(self, number: int) -> None:
        frame_bytes = self._held[number + 1].nbytes
        first = max(0, number + 1 - min(_HELD_FRAMES, max(1, _HELD_BYTES // frame_bytes)))
        self._held.clear()
        stretch = islice(self._from(first), number + 1 - first)
        self._held = {first + n: frame.image for n, frame in enumerate(stretch)}
        if number not in self._held:
            raise self._lost(number)

    def _from(self, number: int) -> Iterator[Frame]:
        """The frames from number `number` on; earlier ones with the same time are left out."""
        at_s = self._times_s[number]
        frames = decode(self._path, start_s=at_s, notes=Notes(self._path))
        return islice(frames, number - int(np.searchsorted(self._times_s, at_s)), None)

    def _lost(self, number: int) -> InputError:
        return InputError(f"{self._path}: its frame at {self._times_s[number]:.3f} s cannot be read a second time")
