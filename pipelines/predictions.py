"""Videos that any program made of the test clips: which file belongs to which clip, and the same crop out of it.

A file belongs to a clip if its name, with any extension, is the clip's id, or the path of the clip's source below its
corpus (with or without the corpus's name before it), or only the name of that source; of the last two, only if one
source has that name. A file named by the id begins with the clip, the others with their source. It shows the source's
picture, of any size: the crop is where the source's face is, and no face is searched in the prediction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcat.data.schema import FPS
from avcat.errors import InputError
from avcat.face.align import warp
from avcat.media.video import decode_at
from pipelines.corpora import media_below
from pipelines.outcome import Rejected

MISSING, AMBIGUOUS, DOUBLED = "no file for it", "another source has the same name", "several files have its name"
TOO_SHORT, OTHER_SHAPE = "too short", "another shape than its source"
UNREADABLE = "cannot be read as a video"
SAME_SHAPE = 0.02  # by how much the sides may differ from the source's shape: codecs want even numbers


class Predictions:
    """The videos of a folder, and the clips they belong to."""

    def __init__(self, folder: Path, clips: Iterable[Mapping[str, Any]]) -> None:
        """`clips` are rows of the manifest: all that a name could stand for. Raises InputError if there is no video."""
        files = [folder / name for name in media_below(folder)] if folder.is_dir() else []
        if not files:
            raise InputError(f"{folder}: no such folder, or no video in it")
        # Several clips of one long video share its names; two videos of one name do not.
        sources = {(row["corpus"], row["path"]) for row in clips}
        self._sources = Counter(name for source in sources for name in _names(*source))
        places = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
        whole = {name for source in sources for name in _names(*source)[:-1]}
        # A file at the path of a source belongs to that source, and to no other by its bare name.
        others = [path for place, path in zip(places, files, strict=True) if place not in whole]
        stems = Counter(path.stem for path in others)
        self._files = {path.stem: path for path in others if stems[path.stem] == 1}
        self._files |= {place: path for place, path in zip(places, files, strict=True) if places.count(place) == 1}
        self._doubled = {stem for stem, count in stems.items() if count > 1}

    def find(self, row: Mapping[str, Any]) -> tuple[Path, float]:
        """The file of a clip, a row of the manifest, and the second of it at which the clip begins.

        Raises Rejected, with one of three reasons, if there is none.
        """
        if row["clip_id"] in self._files:
            return self._files[row["clip_id"]], 0.0
        found = [name for name in _names(row["corpus"], row["path"]) if name in self._files]
        for name in found:
            if self._sources[name] == 1:
                return self._files[name], row["start_s"]
        if found:
            raise Rejected(AMBIGUOUS)
        stems = {row["clip_id"], PurePosixPath(row["path"]).stem}
        raise Rejected(DOUBLED if stems & self._doubled else MISSING)


def _names(corpus: str, path: str) -> tuple[str, ...]:
    """What a source's video may be called, the most specific first, each once."""
    place = PurePosixPath(path).with_suffix("")
    return tuple(dict.fromkeys((f"{corpus}/{place}", str(place), place.name)))


def read_crops(
    path: Path, start_s: float, row: Mapping[str, Any], matrices: NDArray[np.float64], size: int
) -> NDArray[np.uint8]:
    """The crops `uint8 [T, size, size, 3]` of a file, T being the number of `matrices`, source pixels to crop pixels.

    Raises Rejected if the file is too short or shows something else, InputError if it cannot be read. Frames after
    the end of the clip are not read.
    """
    crops = []
    for frame in islice(decode_at(path, FPS, start_s), len(matrices)):
        matrix = matrices[frame.index] @ to_source(frame.image.shape, (row["width"], row["height"]))
        crops.append(warp(frame.image, matrix, size))
    if len(crops) < len(matrices):
        raise Rejected(TOO_SHORT)
    return np.stack(crops)


def to_source(shape: tuple[int, ...], source: tuple[int, int]) -> NDArray[np.float64]:
    """float64 [3, 3]: pixels of a picture [height, width, 3] to its source's, (width, height). Raises Rejected."""
    x, y = source[0] / shape[1], source[1] / shape[0]
    if abs(x / y - 1) > SAME_SHAPE:
        raise Rejected(OTHER_SHAPE)
    # The centre of the first pixel is (0, 0) in both, so their corners are half a pixel before it.
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
