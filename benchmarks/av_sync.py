"""Sound and picture of dubbed files: `python -m benchmarks.av_sync [--model out/tiny/train/full/model.pt]`.

A rendered clip at each of eight frame rates, one of them uneven, and every clip of AVCAT_REAL are dubbed with rendered
speech. The mouth's opening in the file that comes out is compared with the known one, separately for the first and
the last third: how much later than the sound the mouth moves, finer than a frame. Without a model a painter is used,
which paints the mouth as bright as the known opening of its sound; that isolates decoding, timing and encoding.
Prints a table; nothing is asserted here.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import soundfile

from avcat.dubbing import Dubber, DubSettings
from avcat.face.align import AlignConfig
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.mask import redrawn_rows_and_columns
from avcat.face.opening import mouth_opening
from avcat.inference.redraw import Redrawer
from avcat.media.audio import load_audio
from avcat.media.mel import COLUMNS_PER_SECOND, WINDOW_COLUMNS, MelConfig, mel_spectrogram
from avcat.media.video import decode, probe
from avcat.media.writer import VideoWriter
from avcat.metrics.sync import vertex
from avcat.synth.corpus import take_of, wild_people
from avcat.synth.visemes import CLOSURE, OPENING, MouthTrack

SECONDS = 9.0
ENOUGH_S = 0.020
RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "50": Fraction(50),
    "60": Fraction(60),
}
UNEVEN = (3000, 6000, 3000, 4500)  # durations of the uneven clip's frames in ticks of 1/90000 s, repeated
TICK = Fraction(1, 90_000)
STEP_S = 0.005  # of the curves that are compared
REACH_S = 0.4  # of the shifts that are tried
MEL = MelConfig(sample_rate=16_000, fft_size=1280, hop_size=160, bands=80, low_hz=125.0, high_hz=7600.0, rms=0.1)
ALIGN = AlignConfig(left_eye=(0.37, 0.31), right_eye=(0.63, 0.31), position_sigma_s=0.025, scale_sigma_s=0.5)


@dataclass(frozen=True)
class Curve:
    """A mouth over time: values float64 [n] at times float64 [n] in seconds, the middles of their frames or windows."""

    times_s: np.ndarray
    values: np.ndarray


class Painter:
    """Draws a brightness, that of the sound in the middle of each window: a mouth whose opening is known."""

    crop_size = image_size = 64
    batch_frames, align, mel = 32, ALIGN, MEL
    workers = 1

    def start_worker(self) -> None:
        """Nothing to prepare."""

    def encode_reference(self, crop: np.ndarray) -> None:
        """No settings."""

    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: None) -> np.ndarray:
        """uint8 [N, 64, 64, 3], green by loudness in the redrawn region."""
        out, region = crops.copy(), redrawn_rows_and_columns(self.crop_size)
        for crop, level in zip(out, loudness(mel_windows), strict=True):
            crop[region] = (40, round(60 + 180 * float(level)), 40)
        return out


def loudness(windows: np.ndarray) -> np.ndarray:
    """float [N] in 0..1 of mel windows [N, 80, 20]: that of the two columns beside the middle."""
    middle = WINDOW_COLUMNS // 2
    return np.clip(1.5 * windows[:, :, middle - 1 : middle + 1].mean(axis=(1, 2)), 0, 1)


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=None, help="a model.pt (default: the painter)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    redrawer = Redrawer.from_checkpoint(options.model, options.device) if options.model else Painter()
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as name:
        folder = Path(name)
        pictures, speech, opening = rendered(folder)
        print(
            f"{'source':<28} {'fps':>7} {'start, ms':>10} {'end, ms':>8}   (how much later mouths move than the sound)"
        )
        for title, video in (*made(pictures, folder), *real()):
            out = folder / "out.mp4"
            Dubber(redrawer, MediaPipeDetector()).dub(video, speech, out, DubSettings(fade_hidden=False))
            heard = opening if options.model else heard_loudness(out)
            start, end = (1e3 * lag for lag in lags(heard, drawn(out, options.model is not None), SECONDS))
            verdict = "" if max(abs(start), abs(end)) <= 1e3 * ENOUGH_S else "  MORE THAN 20"
            print(f"{title:<28} {float(probe(video).fps):7.3f} {start:+10.1f} {end:+8.1f}{verdict}", flush=True)


def rendered(folder: Path) -> tuple[list[np.ndarray], Path, Curve]:
    """A person of `synth-wild`: pictures at 25 fps, a file with their speech, and how their mouth opens with it."""
    (spec,) = wild_people(1, (SECONDS, SECONDS))
    take = take_of(replace(spec, width=256, height=256))
    sound = folder / "speech.wav"
    soundfile.write(sound, take.speech.samples, MEL.sample_rate)
    times_s = np.arange(0, SECONDS, STEP_S)
    shape = MouthTrack(take.speech.phonemes).at(times_s)
    return list(take.pictures()), sound, Curve(times_s, shape[:, OPENING] * (1 - shape[:, CLOSURE]))


def made(pictures: list[np.ndarray], folder: Path) -> Iterator[tuple[str, Path]]:
    """The same pictures as a clip of each rate, and as one with frames of uneven durations."""
    for name, fps in RATES.items():
        path = folder / f"{name}.mp4"
        with VideoWriter(path, 256, 256, fps=fps, preset="ultrafast") as writer:
            for image in pictures:
                writer.write(image)
        yield f"rendered, {name}", path
    path, at = folder / "uneven.mp4", 0
    with VideoWriter(path, 256, 256, fps=22, time_base=TICK, preset="ultrafast") as writer:
        for number, image in enumerate(pictures):
            lasts = UNEVEN[number % len(UNEVEN)]
            writer.write(image, at, lasts)
            at += lasts
    yield "rendered, uneven", path


def real() -> Iterator[tuple[str, Path]]:
    """Every clip of AVCAT_REAL."""
    if os.environ.get("AVCAT_REAL"):
        for path in sorted((Path(os.environ["AVCAT_REAL"]) / "clips").iterdir()):
            yield path.name, path


def heard_loudness(path: Path) -> Curve:
    """What the painter paints for the sound of a file, at the middle of each mel column's edge."""
    mel = mel_spectrogram(load_audio(path, MEL.sample_rate), MEL)
    half = WINDOW_COLUMNS // 2
    padded = np.pad(mel, ((0, 0), (half, half)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_COLUMNS, axis=1).transpose(1, 0, 2)
    return Curve(np.arange(len(windows)) / COLUMNS_PER_SECOND, loudness(windows).astype(np.float64))


def drawn(path: Path, by_model: bool) -> Curve:
    """How far the mouth is open in each frame of a dubbed file, at the middle of the time for which it is shown."""
    starts = [frame.time_s for frame in decode(path)]
    middles = (np.array(starts) + np.array([*starts[1:], probe(path).duration_s])) / 2
    values = _openings(path) if by_model else _brightness(path)
    found = np.isfinite(values)
    return Curve(middles[found], values[found])


def _openings(path: Path) -> np.ndarray:
    """By Face Mesh, float64 [T]; NaN where no face is found."""
    detector = MediaPipeDetector()
    faces = detector.follow(frame.image for frame in decode(path))
    return np.array([float(mouth_opening(found[0].mouth, found[0].eyes)) if found else np.nan for found in faces])


def _brightness(path: Path) -> np.ndarray:
    """How green the painted pixels are, float64 [T]: where the picture is, on average, much greener than red."""
    small = np.stack([cv2.resize(f.image, (96, 96), interpolation=cv2.INTER_AREA) for f in decode(path)]).astype(float)
    green = small[..., 1] - small[..., 0]
    painted = green > 15
    return np.array([g[p].mean() if p.sum() > 20 else np.nan for g, p in zip(green, painted, strict=True)])


def lags(known: Curve, measured: Curve, seconds: float) -> tuple[float, float]:
    """By how much `measured` comes later than `known`, in seconds: in the first and in the last third."""
    first, last = (0.0, seconds / 3), (2 * seconds / 3, seconds)
    return lag(known, measured, *first), lag(known, measured, *last)


def lag(known: Curve, measured: Curve, start_s: float, end_s: float) -> float:
    """By how much `measured` comes later than `known` between two times, in seconds, by their correlation's peak.

    A parabola through the best shift and its neighbours gives the part finer than the shifts tried.
    """
    inside = (measured.times_s >= start_s) & (measured.times_s < end_s)
    times_s, values = measured.times_s[inside], measured.values[inside]
    shifts = np.arange(-REACH_S, REACH_S + STEP_S / 2, STEP_S)
    scores = [
        np.corrcoef(values, np.interp(times_s - shift, known.times_s, known.values))[0, 1] for shift in shifts.tolist()
    ]
    best = int(np.argmax(scores))
    beside = vertex(*scores[best - 1 : best + 2]) if 0 < best < len(scores) - 1 else 0.0
    return float(shifts[best] + STEP_S * beside)


if __name__ == "__main__":
    main()
