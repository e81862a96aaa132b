"""`python -m benchmarks.colours CLIP...`: how far the colours of what is not redrawn drift, by one dub and by three.

Every clip is dubbed by a network without training, in each coding: BT.601 and BT.709, limited and full range, 4:2:0,
4:2:2 and 10 bit. Beside it the bound: x264 at the same quality without any dubbing. The mean R, G, B come from the mean
planes by the standards' matrices, so no conversion's own rounding is in them.
"""

import argparse
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, product
from pathlib import Path

import av
import numpy as np
import soundfile
import torch

from avcat.dubbing import Dubber, DubSettings
from avcat.dubbing.dubber import CRF, PRESET
from avcat.face.landmarks import MediaPipeDetector
from avcat.inference.redraw import Redrawer
from avcat.media.planes import from_yuv, is_full
from avcat.media.video import decode
from avcat.methods import build
from stages._params import load

FRAMES, SECONDS, TURNS = 25, 1.0, 3
KEPT_ROWS = 0.25  # of the height: the redrawn region lies below
MATRICES = {"bt601": 6, "bt709": 1}
FORMATS = {
    ("4:2:0", "limited"): "yuv420p",
    ("4:2:0", "full"): "yuvj420p",
    ("4:2:2", "limited"): "yuv422p",
    ("4:2:2", "full"): "yuvj422p",
    ("4:2:0 10 bit", "limited"): "yuv420p10le",
    ("4:2:2 10 bit", "limited"): "yuv422p10le",
}


def coded(path: Path, images: list[np.ndarray], pix_fmt: str, matrix: int, crf: int) -> Path:
    """The pictures as a film in a coding."""
    full = 2 if "j" in pix_fmt else 1
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": PRESET})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt.replace("j", "")
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, full
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            out.mux(stream.encode(frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=full)))
        out.mux(stream.encode(None))
    return path


def again(source: Path, path: Path) -> Path:
    """The bound: the film's own planes, encoded once more."""
    with av.open(str(source)) as container, av.open(str(path), "w") as out:
        of = container.streams.video[0]
        stream = out.add_stream("libx264", rate=25, options={"crf": str(CRF), "preset": PRESET})
        stream.width, stream.height, stream.pix_fmt = of.width, of.height, of.codec_context.pix_fmt
        for name in ("colorspace", "color_range"):
            setattr(stream.codec_context, name, getattr(of.codec_context, name))
        for n, frame in enumerate(container.decode(of)):
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def kept(path: Path, matrix: int) -> np.ndarray:
    """Mean R, G, B of the rows that are never redrawn, 0..255, float64 [3]."""
    with av.open(str(path)) as container:
        return np.mean([mean_rgb(frame, matrix) for frame in container.decode(video=0)], axis=0)


def mean_rgb(frame: av.VideoFrame, matrix: int) -> np.ndarray:
    deep = frame.format.components[0].bits > 8
    means = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)[:, : plane.width]
        means.append(rows[: round(KEPT_ROWS * plane.height)].mean() / (4 if deep else 1))
    return from_yuv(np.array(means), matrix, is_full(frame))


def untrained(folder: Path) -> Dubber:
    """A network of the profile `demo` with the weights that it starts with."""
    params = load("demo")
    torch.manual_seed(0)
    from avcat.checkpoint import save_model
    from avcat.settings import to_dict

    model = params.train.model
    save_model(folder / "model.pt", "avcat", build("avcat", to_dict(model)), model, params.inputs, {})
    return Dubber(Redrawer.from_checkpoint(folder / "model.pt"), MediaPipeDetector())


def drifts(clip: Path, dubber: Dubber, folder: Path) -> Iterator[tuple[str, str, str, list[np.ndarray]]]:
    """Matrix, sampling, range; drift of R, G, B after one dub, after three, and after one and three plain encodings."""
    height, width = next(decode(clip)).image.shape[:2]
    even = slice(height & ~1), slice(width & ~1)
    images = [np.ascontiguousarray(frame.image[even]) for frame in islice(decode(clip), FRAMES)]
    sound = folder / "sound.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, int(16_000 * SECONDS)), 16_000)
    for (matrix, number), ((sampling, span), pix_fmt) in product(MATRICES.items(), FORMATS.items()):
        source = coded(folder / "0.mp4", images, pix_fmt, number, 12)
        truth, found = kept(source, number), []
        for make in ("dub", "encode"):
            path = source
            for turn in range(1, TURNS + 1):
                before, path = path, folder / f"{make}{turn}.mp4"
                if make == "dub":
                    dubber.dub(before, sound, path, DubSettings())
                else:
                    again(before, path)
                if turn in (1, TURNS):
                    found.append(kept(path, number) - truth)
        yield matrix, sampling, span, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    arguments = parser.parse_args()
    worst: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        dubber = untrained(Path(name))
        for clip in arguments.clips:
            for matrix, sampling, span, found in drifts(clip, dubber, Path(name)):
                sizes = [float(np.abs(each).max()) for each in found]
                before = worst.setdefault((matrix, sampling, span), sizes)
                worst[matrix, sampling, span] = [max(pair) for pair in zip(before, sizes, strict=True)]
            print(f"{clip.name}: done", flush=True)
    print(f"\nlargest drift of R, G or B over {len(arguments.clips)} clips, in levels of 0..255")
    print("| matrix | sampling | range | one dub | three | x264 once | three times |\n|---|---|---|---|---|---|---|")
    for key, sizes in worst.items():
        print(f"| {' | '.join(key)} | {' | '.join(f'{size:.2f}' for size in sizes)} |")


if __name__ == "__main__":
    main()
