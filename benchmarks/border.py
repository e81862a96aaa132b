"""Whether the redrawn region is seen as one: `python -m benchmarks.border --model out/tiny/train/full/model.pt`.

Every clip of AVCAT_REAL is dubbed with its own sound. Border: the distance between the mean colours (CIELAB) of two
bands, 8 px wide, inside and outside of the region's edge (where half of the picture is redrawn), less that of the
source. Jitter: how the source's own upper face, measured by its texture and not by landmarks, shakes in the crop by
which the region is pasted, in pixels of the source. Prints a table; nothing is asserted here.
"""

import argparse
import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from avcat.dubbing import Dubber
from avcat.dubbing.portrait import Portrait, chosen, portrait
from avcat.dubbing.region import face_mask, soft_redraw_mask
from avcat.dubbing.steady import Following
from avcat.face.align import invert, scale_of, smooth, warp
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import find_people
from avcat.inference.redraw import Redrawer
from avcat.media.reader import FrameReader
from avcat.media.shots import CutFinder
from avcat.media.video import decode

BAND_PX = 8
BORDER_DE, JITTER_PX = 1.0, 0.3  # acceptable values
STEADY_S = 0.1  # sigma of what counts as the head's own movement; faster is jitter
ALIKE = 0.3  # of the correlation's peak: below it the pictures differ, and the shift means nothing
UPPER = slice(50, 125), slice(60, 196)  # of a crop of 256 px: brows, eyes and the root of the nose


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a model.pt")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each clip (default: %(default)s)")
    parser.add_argument("clips", type=Path, nargs="*", help="videos with sound (default: all clips of AVCAT_REAL)")
    options = parser.parse_args()
    if not options.clips and not os.environ.get("AVCAT_REAL"):
        parser.error("name clips, or set AVCAT_REAL")
    clips = options.clips or sorted((Path(os.environ["AVCAT_REAL"]) / "clips").iterdir())
    redrawer = Redrawer.from_checkpoint(options.model, options.device)
    print(f"{'clip':<28} {'source, dE':>10} {'dubbed':>7} {'beyond':>7} {'jitter, px':>11} {'px of source / crop':>20}")
    for clip in clips:
        source, dubbed, jitter, scale = measured(clip, redrawer, options.seconds)
        verdict = "" if dubbed - source <= BORDER_DE and jitter <= JITTER_PX else "  TOO MUCH"
        figures = f"{source:10.2f} {dubbed:7.2f} {dubbed - source:+7.2f} {jitter:11.2f} {scale:20.2f}"
        print(f"{clip.name:<28} {figures}{verdict}", flush=True)


def measured(clip: Path, redrawer: Redrawer, seconds: float) -> tuple[float, float, float, float]:
    """Means over the frames: the bands' distance in the source and as dubbed (dE), jitter (px), and 1 / scale."""
    images = ((frame.time_s, frame.image) for frame in decode(clip, end_s=seconds))
    seen = find_people(images, Following(MediaPipeDetector(max_faces=4)), CutFinder())
    size, reader = redrawer.crop_size, FrameReader(clip, seen.times_s)
    faces = [portrait(person, seen.times_s, redrawer.align, size) for person in chosen(seen, "largest")]
    source, dubbed = [], []
    crops: list[list[np.ndarray]] = [[] for _ in faces]  # separately, as they lie elsewhere in every shot
    frames = Dubber(redrawer, MediaPipeDetector(max_faces=4)).frames(clip, clip)
    for number, frame in zip(range(len(seen.times_s)), frames, strict=False):
        image = reader[number]
        for face, own in zip(faces, crops, strict=True):
            if (row := face.at(number)) is not None:
                alpha = region(face, row, size, image.shape[:2])
                source.append(step(image, alpha))
                dubbed.append(step(frame.image, alpha))
                own.append(upper_face(warp(image, face.matrices[row], size)))
    frames.close()  # type: ignore[attr-defined]
    scale = float(np.median([scale_of(matrix) for face in faces for matrix in face.matrices]))
    rate = (len(seen.times_s) - 1) / float(np.ptp(seen.times_s))
    shakes = np.concatenate([shaking(own, rate) for own in crops if len(own) > 1])
    jitter = float(np.sqrt(np.square(shakes).sum(axis=1).mean()))
    return float(np.nanmean(source)), float(np.nanmean(dubbed)), jitter / scale, 1 / scale


def region(face: Portrait, row: int, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """How much of each pixel is redrawn, float32 [height, width] in 0..1."""
    alpha = soft_redraw_mask(size) * face_mask(face.outlines[row], size)
    return cv2.warpAffine(alpha, invert(face.matrices[row]), shape[::-1], flags=cv2.INTER_LINEAR)


def step(image: np.ndarray, alpha: np.ndarray) -> float:
    """dE between the mean colours of the bands on both sides of where `alpha` is a half; NaN where there is none."""
    inside = (alpha >= 0.5).astype(np.uint8)
    y, x = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not y.size:
        return float("nan")
    rows, columns = (slice(max(0, int(n[0]) - 2 * BAND_PX), int(n[-1]) + 2 * BAND_PX) for n in (y, x))
    inside, part = inside[rows, columns], image[rows, columns]
    lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    depth, height = (cv2.distanceTransform(mask, cv2.DIST_L2, 5) for mask in (inside, 1 - inside))
    bands = (depth > 0) & (depth <= BAND_PX), (height > 0) & (height <= BAND_PX)
    means = [lab[band].mean(axis=0) for band in bands]
    return float(np.linalg.norm(means[0] - means[1]))


def upper_face(crop: np.ndarray) -> np.ndarray:
    """float32, the part of a crop that jitter is measured on."""
    whole = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (256, 256), interpolation=cv2.INTER_AREA)
    return whole[UPPER].astype(np.float32)


def shaking(pictures: list[np.ndarray], rate: float) -> np.ndarray:
    """How far the pictures' content is off its own smooth way, float64 [N, 2] in pixels of a 256 px crop.

    If two pictures differ too much (blur, a blink) the shift is unknown, and counts as zero.
    """
    window = cv2.createHanningWindow(pictures[0].shape[::-1], cv2.CV_32F)
    found = [cv2.phaseCorrelate(a, b, window) for a, b in pairwise(pictures)]
    shifts = np.array([shift if peak >= ALIKE else (0.0, 0.0) for shift, peak in found])
    way = np.concatenate([np.zeros((1, 2)), np.cumsum(shifts, axis=0)])
    return way - smooth(way, np.arange(len(way)) / rate, STEADY_S, follow_trend=True)


if __name__ == "__main__":
    main()
