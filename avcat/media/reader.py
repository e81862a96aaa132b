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
        self._held: dict[int, Frame] = {}
        self._ahead: Iterator[Frame] = iter(())
        self._next = -_WALKED_OVER  # number of the frame that `_ahead` gives next

    def __getitem__(self, number: int) -> Frame:
        """To be read only: the same one may come again."""
        if number not in self._held:
            if number + 1 in self._held:
                self._hold_up_to(number)
            else:
                self._held = {number: self._read(number)}
        return self._held[number]

    def _read(self, number: int) -> Frame:
        if not 0 <= number - self._next < _WALKED_OVER:
            self._ahead, self._next = self._from(number), number
        frame = next(islice(self._ahead, number - self._next, None), None)
        self._next = number + 1
        if frame is None:
            raise self._lost(number)
        return frame

    def _hold_up_to(self, number: int) -> None:
        frame_bytes = self._held[number + 1].image.nbytes
        first = max(0, number + 1 - min(_HELD_FRAMES, max(1, _HELD_BYTES // frame_bytes)))
        self._held.clear()
        stretch = islice(self._from(first), number + 1 - first)
        self._held = {first + n: frame for n, frame in enumerate(stretch)}
        if number not in self._held:
            raise self._lost(number)

    def _from(self, number: int) -> Iterator[Frame]:
        return decode(self._path, start_s=self._times_s[number], notes=Notes(self._path))

    def _lost(self, number: int) -> InputError:
        return InputError(f"{self._path}: its frame at {self._times_s[number]:.3f} s cannot be read a second time")
