"""The second pass over a video: cuts the crops, redraws each from the sound at its own time, and pastes them back.

The steps run in parallel, on batches of frames; memory does not grow with the length.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from avcat.ahead import ahead, side_by_side
from avcat.data.schema import FPS
from avcat.dubbing.detail import Detail
from avcat.dubbing.paste import match_colour, paste
from avcat.dubbing.plan import Plan
from avcat.dubbing.portrait import Portrait
from avcat.dubbing.region import face_mask, soft_redraw_mask
from avcat.dubbing.watermark import mark
from avcat.face.align import warp
from avcat.media.planes import Box, Planes, change, planes_of, planes_of_rgb
from avcat.media.reader import FrameReader
from avcat.media.timeline import Shown
from avcat.media.video import Frame, VideoInfo

if TYPE_CHECKING:
    from avcat.inference.redraw import Redrawer  # torch: another redrawer may do without

_REFERENCES = 8  # kept at once
_AHEAD = 1  # batches that each step may be ahead of the next
_BATCH_BYTES = 64 * 2**20  # of frames: limits the batches of large pictures
_HEARD_S = 0.5 / FPS  # the grid frame whose sound is used begins this long before the frame's middle


class DubbedFrame(NamedTuple):
    """One frame of the result."""

    image: np.ndarray  # uint8 [height, width, 3] RGB
    pts: int  # ticks of the source's time base
    duration: int
    redrawn: bool  # False: no face, or a hidden mouth; the source's picture
    planes: Planes  # the same in YUV, of the source's matrix and range: what is not redrawn is the source's, exactly


class _Cutting(NamedTuple):
    """One face in one frame of a batch."""

    frame: int  # its number in the batch
    person: int
    row: int  # of the person's portrait
    crop: np.ndarray  # uint8 [S, S, 3]


class _Heard(NamedTuple):
    """One person's crops in a batch, with their mel windows and reference."""

    crops: np.ndarray  # uint8 [N, S, S, 3]
    windows: np.ndarray  # float32 [N, 80, 20] of mels
    reference: Any  # None: each crop is its own reference


class _Batch(NamedTuple):
    """Some frames on their way through the second pass."""

    shown: list[Shown]
    sources: list[Frame]
    cuttings: list[_Cutting]  # sorted by person
    heard: list[_Heard]  # by person, in the order of the cuttings; empty before `_hear`
    drawn: list[np.ndarray]  # uint8 [S, S, 3] per cutting; empty before `_redraw`


class SecondPass:
    """Carries out plans with one model."""

    def __init__(self, redrawer: "Redrawer") -> None:
        self._redrawer = redrawer
        self._region = soft_redraw_mask(redrawer.crop_size)
        self._converter = VideoReformatter()

    def frames(self, plan: Plan) -> Generator[DubbedFrame, None, None]:
        """The frames of the result, in their order."""
        heard, details = ahead(self._hear(plan), _AHEAD), [Detail() for _ in plan.people]
        drawn = side_by_side(self._redraw, heard, self._redrawer.workers, self._redrawer.start_worker)
        with closing(heard), closing(ahead(drawn, _AHEAD)) as batches:
            for batch in batches:
                yield from self._paste(plan, batch, details)

    def _cut(self, plan: Plan) -> Iterator[_Batch]:
        """Batches of frames with the crops of all faces in them, except those whose mouth is entirely hidden."""
        reader = FrameReader(plan.info.path, plan.times_s)
        size = min(self._redrawer.batch_frames, max(1, _BATCH_BYTES // (3 * plan.info.width * plan.info.height)))
        for start in range(0, len(plan.shown), size):
            shown = plan.shown[start : start + size]
            sources = [reader[frame.source] for frame in shown]
            cuttings = [
                _Cutting(n, person, row, self._crop(sources[n].image, face.matrices[row]))
                for n, frame in enumerate(shown)
                if plan.is_heard(frame)
                for person, face, row in plan.faces(frame.source)
                if face.visible[row] > 0
            ]
            yield _Batch(shown, sources, sorted(cuttings, key=lambda cutting: cutting.person), [], [])

    def _hear(self, plan: Plan) -> Iterator[_Batch]:
        """Batches with the sound of each crop, and the reference of each person."""
        references: dict[int, Any] = {}
        for batch in self._cut(plan):
            tick = plan.info.time_base
            shown_s = np.array([float((shown.pts + shown.duration / 2) * tick) for shown in batch.shown]) - _HEARD_S
            windows: dict[int, np.ndarray] = {}
            heard: list[_Heard] = []
            for person, group in groupby(batch.cuttings, key=lambda cutting: cutting.person):
                cuttings, speech = list(group), plan.people[person].speech
                if id(speech) not in windows:
                    windows[id(speech)] = speech.windows(shown_s - plan.settings.offset_s)
                if person not in references and plan.settings.reference != "same":
                    references[person] = self._reference(plan, plan.people[person].face)
                    if len(references) > _REFERENCES:  # of earlier shots
                        references.pop(next(iter(references)))
                crops = np.stack([cutting.crop for cutting in cuttings])
                at = [cutting.frame for cutting in cuttings]
                heard.append(_Heard(crops, windows[id(speech)][at], references.get(person)))
            yield batch._replace(heard=heard)

    def _reference(self, plan: Plan, face: Portrait) -> Any:
        """A person's encoded reference."""
        row = plan.reference_row(face)
        frame = FrameReader(plan.info.path, plan.times_s)[face.first + row]
        return self._redrawer.encode_reference(self._crop(frame.image, face.matrices[row]))

    def _redraw(self, batch: _Batch) -> _Batch:
        drawn = [crop for heard in batch.heard for crop in self._redrawer.redraw(*heard)]
        return batch._replace(heard=[], drawn=drawn)

    def _paste(self, plan: Plan, batch: _Batch, details: Sequence[Detail]) -> Iterator[DubbedFrame]:
        drawn: dict[int, list[tuple[_Cutting, np.ndarray]]] = {}
        for cutting, crop in zip(batch.cuttings, batch.drawn, strict=True):
            drawn.setdefault(cutting.frame, []).append((cutting, crop))
        for n, (shown, source) in enumerate(zip(batch.shown, batch.sources, strict=True)):
            image, boxes = source.image, []
            if n in drawn:
                image = image.copy()
            for cutting, crop in drawn.get(n, []):
                face = plan.people[cutting.person].face
                alpha = self._region * face_mask(face.outlines[cutting.row], self._redrawer.crop_size)
                crop = match_colour(crop, cutting.crop, alpha)
                alpha *= face.visible[cutting.row]
                marked = mark(crop, alpha, float(shown.pts * plan.info.time_base), face.eyes)
                detail = details[cutting.person] if plan.settings.sharpen else None
                boxes.append(paste(image, marked, face.matrices[cutting.row], alpha, detail, self._redrawer.image_size))
            planes = self._planes(plan.info, source, image, boxes)
            yield DubbedFrame(image, shown.pts, shown.duration, n in drawn, planes)

    def _planes(self, info: VideoInfo, source: Frame, image: np.ndarray, boxes: Sequence[Box]) -> Planes:
        """Those of `image`, which is the source's except in `boxes`."""
        planes = planes_of(source.picture, self._converter)
        if planes is None:
            return planes_of_rgb(image, info.colour.matrix, self._converter)
        if not boxes:
            return planes
        x0, y0, x1, y1 = zip(*boxes, strict=True)
        box = min(x0), min(y0), max(x1), max(y1)
        return change(planes, source.image, image, box, info.colour.matrix, info.full_range)

    def _crop(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return warp(image, matrix, self._redrawer.crop_size)
