"""Decoded pictures as the rest of the project wants them: progressive, of one size, upright, in 8 bits of SDR's RGB."""

from collections.abc import Iterator

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from avcat.errors import InputError
from avcat.media.container import Notes

HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273
_SDR_WHITE = 203.0  # cd/m2, of HDR's reference white (ITU-R BT.2408)
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2  # cd/m2, and the gamma of its display (ITU-R BT.2100)
_KNEE = 0.75  # of SDR's white: what is brighter is compressed
_TO_BT709 = np.array(  # BT.2020's primaries, linear (ITU-R BT.2087)
    ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)), np.float32
)


def deinterlaced(frames: Iterator[av.VideoFrame], notes: Notes | None = None) -> Iterator[av.VideoFrame]:
    """The same frames at the same times, interlaced ones by libavfilter's bwdif (BBC Weston, from Yadif), others as is.

    A file may have both, so each frame is asked; the filter is there from the first interlaced one on.
    """
    graph: av.filter.Graph | None = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            if notes is not None:
                notes.add(f"{notes.path}: has interlaced pictures, which are deinterlaced")
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            filter_ = graph.add("bwdif", "mode=send_frame:deint=interlaced")
            sink = graph.add("buffersink")
            source.link_to(filter_)
            filter_.link_to(sink)
            graph.configure()
        graph.vpush(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def of_one_size(
    timed: Iterator[tuple[float, av.VideoFrame]], path: object, notes: Notes | None
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames as large as the first one. Without `notes` another size is an InputError."""
    size: tuple[int, int] | None = None
    noted: set[tuple[int, int]] = set()
    converter = VideoReformatter()
    for time_s, frame in timed:
        own = frame.width, frame.height
        size = size or own
        if own != size:
            says = f"{path}: changes its size from {size[0]} x {size[1]} to {own[0]} x {own[1]}"
            if notes is None:
                raise InputError(says)
            if own not in noted:
                notes.add(f"{says} at {time_s:.2f} s; all is scaled to the first")
                noted.add(own)
            turned = frame
            frame = converter.reformat(frame, width=size[0], height=size[1], interpolation="AREA")
            frame.pts, frame.time_base = turned.pts, turned.time_base
        yield time_s, frame


def to_rgb(frame: av.VideoFrame, converter: VideoReformatter) -> np.ndarray:
    """uint8 [height, width, 3] RGB of a decoded frame, upright. One converter per stream: its set-up is expensive."""
    if int(frame.color_trc) in HDR:
        image = to_sdr(converter.reformat(frame, format="rgb48le").to_ndarray(), HDR[int(frame.color_trc)])
    else:
        image = converter.reformat(frame, format="rgb24").to_ndarray()
    return upright(image, frame)


def upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """A picture [H, W, ...] or one plane of it, turned as the frame is to be shown."""
    if _mirrored(frame):
        image = image[::-1]  # before the rotation, which comes from the matrix's first row only
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4))


def _mirrored(frame: av.VideoFrame) -> bool:
    """Whether the display matrix mirrors the frame, as some phones' front cameras do."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False
    a, b, _, c, d = np.frombuffer(data, np.int32, 5).astype(float)  # type: ignore[call-overload]
    return bool(a * d - b * c < 0)


def to_sdr(image: np.ndarray, transfer: str) -> np.ndarray:
    """HDR's RGB, uint16 [H, W, 3] of BT.2020's primaries, coded as `transfer` says -> uint8 RGB of BT.709.

    Reference white (203 cd/m2, BT.2408) becomes SDR's, what is brighter is compressed by a soft knee (ours); colours
    outside BT.709 are cut.
    """
    linear = _LINEAR[transfer][image]  # 1 is SDR's white
    if transfer == "HLG":  # the display's gamma acts on luminance (BT.2100, table 5)
        luminance = linear @ np.array((0.2627, 0.6780, 0.0593), np.float32)
        linear = linear * (np.maximum(luminance, 1e-6) ** (_HLG_GAMMA - 1) * (_HLG_PEAK / _SDR_WHITE))[..., None]
    linear = np.maximum(cv2.transform(linear, _TO_BT709), 0)
    high = np.maximum(linear - _KNEE, 0)
    linear = np.minimum(linear, _KNEE) + (1 - _KNEE) * (1 - np.exp(-high / (1 - _KNEE)))
    return np.rint(255 * _bt709(linear)).astype(np.uint8)


def _pq_to_light(code: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: 0..1 -> in units of SDR's white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = code ** (1 / m2)
    return 10_000 / _SDR_WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg_to_scene(code: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, the inverse of HLG's OETF: 0..1 -> light of the scene in 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _bt709(light: np.ndarray) -> np.ndarray:
    """SDR's code in 0..1, for a display of gamma 2.4 (ITU-R BT.1886)."""
    return np.clip(light, 0, 1) ** (1 / 2.4)


_CODES = np.arange(65536) / 65535
_LINEAR = {"PQ": _pq_to_light(_CODES).astype(np.float32), "HLG": _hlg_to_scene(_CODES).astype(np.float32)}
