"""YUV planes: what RGB changes arrives, what it does not change stays to the bit, and colours do not drift."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.video.reformatter import VideoReformatter
from drawn import face_picture, tone
from painter import Keeper

from avcat.dubbing import Dubber
from avcat.face.landmarks import MediaPipeDetector
from avcat.media.planes import Planes, change, from_yuv, is_full, planes_of
from avcat.media.video import decode, probe

FORMATS = ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuv420p10le", "yuv422p10le"]
MATRICES = {"bt709": 1, "smpte170m": 6, "unspecified": 2}


def picture(height: int = 320, width: int = 320) -> np.ndarray:
    """A face, every colour around it, and some noise."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack((255 * x / width, 255 * y / height, 255 - 127 * (x + y) / width), 2)
    image = ramp.clip(0, 255)
    image[40:-40, 40:-40] = face_picture(width, height)[40:-40, 40:-40]
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def grey(height: int, width: int, level: int) -> Planes:
    half = (height + 1) // 2, (width + 1) // 2
    return Planes(np.full((height, width), level, np.uint8), *(np.full(half, 128, np.uint8) for _ in range(2)))


def test_nothing_changed_is_nothing_added() -> None:
    planes, image = grey(31, 33, 90), np.zeros((31, 33, 3), np.uint8)
    for box in ((0, 0, 33, 31), (5, 7, 5, 9)):
        for one, other in zip(planes, change(planes, image, image, box, 1, False), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("matrix", "full", "yuv"),
    [  # by hand: Kr, Kb of each standard, 219 / 255 and 224 / 255 in limited range
        (1, False, (0.2126 * 219 / 255, -0.1146 * 224 / 255, 0.5 * 224 / 255)),
        (6, False, (0.299 * 219 / 255, -0.1687 * 224 / 255, 0.5 * 224 / 255)),
        (2, False, (0.299 * 219 / 255, -0.1687 * 224 / 255, 0.5 * 224 / 255)),
        (9, True, (0.2627, -0.1396, 0.5)),
        (1, True, (0.2126, -0.1146, 0.5)),
    ],
)
def test_more_red_by_the_numbers_of_the_standards(matrix: int, full: bool, yuv: tuple[float, ...]) -> None:
    before = np.zeros((40, 40, 3), np.uint8)
    (after := before.copy())[8:20, 10:30, 0] = 100
    out = change(grey(40, 40, 50), before, after, (9, 7, 31, 21), matrix, full)
    found = [int(plane[place]) for plane, place in zip(out, ((10, 15), (6, 8), (6, 8)), strict=True)]
    assert found == [round(level + 100 * share) for level, share in zip((50, 128, 128), yuv, strict=True)]
    assert (out.y[:8] == 50).all()
    assert (out.u[:4] == 128).all()
    assert (out.v[:, 15:] == 128).all()


def encode(path: Path, image: np.ndarray, pix_fmt: str, matrix: int, frames: int = 6) -> Path:
    """Lossless, so that all drift is ours."""
    codec, options = ("libx264", {"qp": "0"}) if "10" not in pix_fmt else ("ffv1", {})
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if "j" in pix_fmt else 1
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=context.color_range)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_planes_show_what_their_picture_shows(tmp_path: Path, pix_fmt: str, matrix: int) -> None:
    path = encode(tmp_path / "a.mkv", picture(), pix_fmt, matrix, frames=2)
    frame = next(decode(path))
    planes = planes_of(frame.picture, VideoReformatter())
    assert planes is not None
    assert planes.y.shape == (320, 320)
    assert planes.u.shape == planes.v.shape == (160, 160)
    assert probe(path).full_range == ("j" in pix_fmt)


def mean_rgb(path: Path, matrix: int) -> np.ndarray:
    """Of the upper third, which is never redrawn, from the planes' means: free of rounding."""
    means = []
    for frame in decode(path):
        bits, third = frame.picture.format.components[0].bits, []
        for plane in frame.picture.planes:
            codes = np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8).reshape(plane.height, -1)
            third.append(codes[: plane.height // 3, : plane.width].mean() / 2 ** (bits - 8))
        means.append(from_yuv(np.array(third), matrix, is_full(frame.picture)))
    return np.mean(means, 0)


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_colours_do_not_drift_when_a_film_is_dubbed_again(tmp_path: Path, pix_fmt: str, matrix: int) -> None:
    """Outside of what is redrawn, after one dub and after three; the encoder's own loss included."""
    soundfile.write(tmp_path / "a.wav", tone(0.2), 16_000)
    path = encode(tmp_path / "0.mkv", picture(), pix_fmt, matrix, frames=5)
    source, drift = mean_rgb(path, matrix), []
    dubber = Dubber(Keeper(crop_size=256), MediaPipeDetector())
    for turn in range(3):
        dubber.dub(path, tmp_path / "a.wav", path := tmp_path / f"{turn + 1}.mp4")
        drift.append(np.abs(mean_rgb(path, matrix) - source).max())
    assert drift[0] < 0.15  # of noise in every colour, which is harder than any film
    assert drift[2] < 0.3
