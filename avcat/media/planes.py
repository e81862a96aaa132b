"""A picture's own YUV planes, changed only where its RGB was: what is not redrawn never leaves YUV.

Each conversion to RGB and back rounds and, in swscale, darkens: by a level per dub. So the difference that redrawing
makes is converted instead, and added to the source's planes; elsewhere it is 0, exactly.
"""

import re
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from avcat.media.picture import HDR, upright

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, end exclusive

_LIMITED, _FULL = 1, 2  # libav's numbers of ranges
_BITS = 8
_PLANAR = re.compile(r"yuvj?4[24][024]p(\d+le)?$")
# Shares of red and blue in luma, by ITU-T H.273's number of the matrix; what is not named is as swscale takes it.
_RED_BLUE = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)


class Planes(NamedTuple):
    """An upright picture in 4:2:0, uint8, of H x W pixels."""

    y: np.ndarray  # [H, W]
    u: np.ndarray  # [ceil(H / 2), ceil(W / 2)]
    v: np.ndarray


def is_full(frame: av.VideoFrame) -> bool:
    """Whether codes go from 0 to 255, and not from 16 to 235."""
    return int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")


def planes_of(frame: av.VideoFrame, converter: VideoReformatter) -> Planes | None:
    """Those of a decoded frame, in 4:2:0 of 8 bits of its own matrix and range; None if it is coded as RGB, or HDR.

    Others are brought to it by means that are rounded, with errors of 0 on average; swscale's are not.
    """
    if frame.format.is_rgb or frame.format.has_palette or int(frame.color_trc) in HDR:
        return None
    shown = frame
    if not _PLANAR.match(frame.format.name):
        frame = converter.reformat(frame, format="yuvj444p" if is_full(frame) else "yuv444p")
    bits = frame.format.components[0].bits
    y, u, v = (_plane(plane, bits) for plane in frame.planes)
    size = -(-y.shape[1] // 2), -(-y.shape[0] // 2)
    return Planes(*(upright(plane, shown) for plane in (_coarse(y, bits), *(_coarse(c, bits, size) for c in (u, v)))))


def _coarse(plane: np.ndarray, bits: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """A plane of so many bits in 8, and of another size (columns, rows)."""
    shape = plane.shape if size is None else size[::-1]
    if bits == _BITS and shape == plane.shape:
        return plane
    rows, columns = (-(-whole // part) for whole, part in zip(plane.shape, shape, strict=True))
    fill = [(0, part * n - whole) for part, n, whole in zip(shape, (rows, columns), plane.shape, strict=True)]
    means = np.pad(plane.astype(np.float32) / 2 ** (bits - _BITS), fill, mode="edge")
    means = means.reshape(shape[0], rows, shape[1], columns).mean((1, 3))
    return np.minimum(np.rint(means), 255).astype(np.uint8)  # type: ignore[no-any-return]  # halves to even: no drift


def planes_of_rgb(image: np.ndarray, matrix: int, converter: VideoReformatter) -> Planes:
    """Those of uint8 RGB [H, W, 3] of even sides, limited range."""
    frame = converter.reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
        format="yuv420p",
        dst_colorspace=matrix,
        dst_color_range=ColorRange.MPEG,
    )
    return Planes(*(_plane(plane) for plane in frame.planes))


def _plane(plane: av.video.plane.VideoPlane, bits: int = 8) -> np.ndarray:
    code = np.dtype("<u2" if bits > _BITS else np.uint8)
    rows = np.frombuffer(plane, code).reshape(-1, plane.line_size // code.itemsize)  # type: ignore[call-overload]
    return rows[: plane.height, : plane.width]  # type: ignore[no-any-return]


def change(planes: Planes, before: np.ndarray, after: np.ndarray, box: Box, matrix: int, full: bool) -> Planes:
    """The planes with what RGB changed in a box, from `before` to `after` (uint8 [H, W, 3]), added to them.

    `matrix` (H.273) and `full` (range) are the picture's own.
    """
    height, width = planes.y.shape
    x0, y0, x1, y1 = box[0] & ~1, box[1] & ~1, min(box[2] + box[2] % 2, width), min(box[3] + box[3] % 2, height)
    if x0 >= x1 or y0 >= y1:
        return planes
    difference = after[y0:y1, x0:x1].astype(np.float32) - before[y0:y1, x0:x1]
    yuv = cv2.transform(difference, _to_yuv(matrix, full))
    halves = cv2.resize(  # an odd side's last row or column stands for two
        cv2.copyMakeBorder(yuv[..., 1:], 0, (y1 - y0) % 2, 0, (x1 - x0) % 2, cv2.BORDER_REPLICATE),
        None,
        fx=0.5,
        fy=0.5,
        interpolation=cv2.INTER_AREA,
    )
    changed = Planes(*(plane.copy() for plane in planes))
    _add(changed.y[y0:y1, x0:x1], yuv[..., 0])
    for plane, off in zip(changed[1:], (halves[..., 0], halves[..., 1]), strict=True):
        _add(plane[y0 // 2 : (y1 + 1) // 2, x0 // 2 : (x1 + 1) // 2], off)
    return changed


def _add(region: np.ndarray, off: np.ndarray) -> None:
    region[:] = np.clip(np.rint(region + off), 0, 255)


def _to_yuv(matrix: int, full: bool) -> np.ndarray:
    """float32 [3, 3], from differences of RGB to those of YUV (ITU-R BT.601, BT.709, BT.2020; SMPTE 240M)."""
    red, blue = _RED_BLUE.get(matrix, _BT601)
    luma = np.array((red, 1 - red - blue, blue))
    u = (np.array((0, 0, 1)) - luma) / (2 * (1 - blue))
    v = (np.array((1, 0, 0)) - luma) / (2 * (1 - red))
    scales = (1, 1, 1) if full else (219 / 255, 224 / 255, 224 / 255)
    return np.stack([row * scale for row, scale in zip((luma, u, v), scales, strict=True)]).astype(np.float32)


def even(planes: Planes) -> Planes:
    """With one repeated row or column where a side is odd, as H.264 wants."""
    height, width = planes.y.shape
    return planes._replace(y=np.pad(planes.y, ((0, height % 2), (0, width % 2)), mode="edge"))


def to_frame(planes: Planes, full: bool) -> av.VideoFrame:
    """Planes of even sides as libav wants them."""
    height, width = planes.y.shape
    packed = np.empty((height * 3 // 2, width), np.uint8)
    packed[:height] = planes.y
    packed[height:].reshape(2, -1)[:] = [planes.u.ravel(), planes.v.ravel()]
    frame = av.VideoFrame.from_ndarray(packed, format="yuv420p")
    frame.color_range = _FULL if full else _LIMITED
    return frame


def from_yuv(yuv: np.ndarray, matrix: int, full: bool) -> np.ndarray:
    """R, G, B in 0..255, not rounded or cut, of codes Y, U, V of 8 bits; float64 [..., 3]."""
    return (yuv - (0 if full else 16, 128, 128)) @ np.linalg.inv(_to_yuv(matrix, full).astype(np.float64)).T
