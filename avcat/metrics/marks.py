"""What the detector finds in the pictures of a clip, and a cache folder for pictures that recur.

The true frames are the same for every method, and so are the true frames at one network's picture size. A clip's
marks are cached by the content of its pictures, so they cannot be mixed up.
"""

import hashlib
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avcat.data.schema import MOUTH_POINTS
from avcat.face.landmarks import FaceDetector
from avcat.face.opening import mouth_opening
from avcat.files import atomic_path


@dataclass(frozen=True)
class Marks:
    """The face in each of T frames; NaN if none was found."""

    mouth: NDArray[np.float32]  # [T, 20, 2] px
    eyes: NDArray[np.float32]  # [T, 2, 2] px
    box: NDArray[np.float32]  # [T, 4]: x0, y0, x1, y1 in px

    @property
    def opening(self) -> NDArray[np.float64]:
        """[T], inner-lip gap / distance of the eyes."""
        return mouth_opening(self.mouth, self.eyes).astype(np.float64)


class Marker:
    """Finds marks. `kept` is the cache folder for `recall`; None caches nothing.

    Another detector needs another folder.
    """

    def __init__(self, detector: FaceDetector, kept: Path | None = None) -> None:
        self._detector, self._kept = detector, kept

    def find(self, crops: NDArray[np.uint8]) -> Marks:
        """The marks of a clip's pictures `uint8 [T, S, S, 3]`, by the detector."""
        marks = Marks(
            np.full((len(crops), MOUTH_POINTS, 2), np.nan, np.float32),
            np.full((len(crops), 2, 2), np.nan, np.float32),
            np.full((len(crops), 4), np.nan, np.float32),
        )
        for t, faces in enumerate(self._detector.follow(crops)):
            for face in faces[:1]:
                marks.mouth[t], marks.eyes[t], marks.box[t] = face.mouth, face.eyes, face.box
        return marks

    def recall(self, crops: NDArray[np.uint8]) -> Marks:
        """As `find`, from the cache if the same pictures were seen before; else they are added to it."""
        if self._kept is None:
            return self.find(crops)
        path = self._kept / f"{_content(crops)}.npz"
        if path.exists():
            with np.load(io.BytesIO(path.read_bytes())) as arrays:
                return Marks(**arrays)
        marks = self.find(crops)
        with atomic_path(path) as part, part.open("wb") as file:
            np.savez(file, **asdict(marks))
        return marks


def _content(crops: NDArray[np.uint8]) -> str:
    digest = hashlib.blake2b(str(crops.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(crops).data)
    return digest.hexdigest()
