"""Where one shot ends and the next begins, by PySceneDetect's content detector."""

from pathlib import Path

import numpy as np

from avcat.media.video import decode

_THRESHOLD = 27.0  # PySceneDetect's default
_SIDE = 256  # pictures are shrunk to about this: as good for cuts, and faster


class CutFinder:
    """Detects for each picture of a video, in order, whether it begins a new shot."""

    def __init__(self, threshold: float = _THRESHOLD) -> None:
        from scenedetect import ContentDetector, FrameTimecode  # slow to import

        # 0: otherwise it delays a cut to see whether another follows. The filters drop shots that are too short.
        self._detector = ContentDetector(threshold=threshold, min_scene_len=0)
        self._time = FrameTimecode
        self._number = 0

    def __call__(self, image: np.ndarray) -> bool:
        """A uint8 [height, width, 3] RGB picture."""
        shrink = max(1, max(image.shape[:2]) // _SIDE)
        small = np.ascontiguousarray(image[::shrink, ::shrink, ::-1])
        cuts = self._detector.process_frame(self._time(self._number, fps=25.0), small)
        self._number += 1
        return bool(cuts)


def find_cuts(path: str | Path, threshold: float) -> list[float]:
    """The times in seconds at which the shots of a video begin, except the first. Raises InputError like `decode`."""
    is_cut = CutFinder(threshold)
    return [frame.time_s for frame in decode(path) if is_cut(frame.image)]
