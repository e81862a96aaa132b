"""Speed and memory of dubbing: `python -m benchmarks.dub --model out/tiny/train/full/model.pt`.

Renders a talking head of 640 x 480, dubs it, and compares the whole with its bound: the larger of the slowest part that
cannot be divided and the processor time of all parts over the cores, each part measured alone in the same run. Then the
peak memory of `avcat dub` on a short and a long video. Prints ratios; nothing is asserted here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from avcat.dubbing import Dubber
from avcat.dubbing.paste import match_colour, paste
from avcat.dubbing.portrait import chosen, portrait
from avcat.dubbing.region import face_mask, soft_redraw_mask
from avcat.dubbing.speech import Speech
from avcat.dubbing.steady import Following
from avcat.dubbing.visible import Looking
from avcat.dubbing.watermark import mark
from avcat.face.align import warp
from avcat.face.hands import HandFinder
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import find_people
from avcat.inference.redraw import Redrawer
from avcat.media.audio import load_audio
from avcat.media.shots import CutFinder
from avcat.media.video import decode
from avcat.media.writer import VideoWriter
from avcat.nn.precision import Precision, quickest
from avcat.synth.corpus import render, wild_people

FPS = 25
SIZE = (640, 480)
RENDERED_S = 8.0


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a model.pt")
    parser.add_argument("--seconds", type=float, default=40, help="of video for the speed (default: %(default)s)")
    parser.add_argument("--precision", default=quickest("cpu"), help="default: as `avcat dub` has it, %(default)s here")
    parser.add_argument(
        "--minutes", type=float, nargs=2, default=(1, 10), help="of video for the memory (default: 1 10); 0 0: none"
    )
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as name:
        folder = Path(name)
        head = rendered(folder)
        video, sound = lengthened(head, folder, options.seconds)
        speed(video, sound, options.model, folder, cores, options.precision)
        if options.minutes[1]:
            short, long = (peak(head, folder, minutes, options.model) for minutes in options.minutes)
            print(
                f"peak memory: {short:.0f} MB for {options.minutes[0]:g} min, {long:.0f} MB for "
                f"{options.minutes[1]:g} min: x {long / short:.2f}"
            )


def rendered(folder: Path) -> Path:
    """A person of `synth-wild` that says something."""
    (spec,) = wild_people(1, (RENDERED_S, RENDERED_S))
    return render(replace(spec, width=SIZE[0], height=SIZE[1]), folder)


def lengthened(head: Path, folder: Path, seconds: float) -> tuple[Path, Path]:
    """The same, played back and forth, with its sound repeated."""
    frames = [frame.image for frame in decode(head)]
    there_and_back = cycle([*frames, *frames[-2:0:-1]])
    video, sound = folder / f"{seconds:g}.mp4", folder / f"{seconds:g}.wav"
    with VideoWriter(video, *SIZE, preset="ultrafast") as writer:
        for image in islice(there_and_back, round(seconds * FPS)):
            writer.write(image)
    samples = load_audio(head)
    soundfile.write(sound, np.resize(samples, round(seconds * 16_000)), 16_000)
    return video, sound


def speed(video: Path, sound: Path, model: Path, folder: Path, cores: int, precision: Precision) -> None:
    """The whole, its parts, and the ratio of its bound to it."""
    dubber = Dubber.from_checkpoint(model, precision=precision)
    dubber.dub(video, sound, folder / "warm.mp4")
    (wall, cpu), summary = timed(lambda: dubber.dub(video, sound, folder / "out.mp4"))
    measured = parts(video, sound, model, folder, precision)
    for name, (part_wall, part_cpu) in measured.items():
        per = 1e3 / summary.frames
        print(f"  {name}: {part_wall * per:.1f} ms per frame by itself, {part_cpu * per:.1f} ms of processor")
    slowest = max(part_wall for name, (part_wall, _) in measured.items() if name != "redraw")  # which is divided
    divided = sum(part_cpu for _, part_cpu in measured.values()) / cores
    bound = max(slowest, divided)
    print(
        f"dub, {SIZE[0]} x {SIZE[1]}, {precision}: {summary.frames / wall:.1f} frames/s on {cpu / wall:.2f} of {cores} "
        f"cores; the bound is {summary.frames / bound:.1f}: {bound / wall:.2f} of it"
    )


def parts(video: Path, sound: Path, model: Path, folder: Path, precision: Precision) -> dict[str, tuple[float, float]]:
    """(wall, processor) seconds of each part of a dub, by itself, for all frames."""
    redrawer, detector = Redrawer.from_checkpoint(model, precision=precision), MediaPipeDetector(max_faces=4)
    size = redrawer.crop_size
    seconds: dict[str, tuple[float, float]] = {}

    def measure(name: str, call: Callable[[], Any]) -> Any:
        seconds[name], result = timed(call)
        return result

    frames = [(frame.time_s, frame.image) for frame in decode(video)]
    measure("decode, twice", lambda: [sum(1 for _ in decode(video)) for _ in range(2)])
    speech = measure("hear", lambda: Speech(sound, redrawer.mel))
    finder, looking = CutFinder(), Looking(Following(detector), HandFinder())
    measure("find cuts", lambda: [finder(image) for _, image in frames])
    seen = measure("find faces", lambda: find_people(iter(frames), looking))
    (person,) = chosen(seen, "largest")
    face = measure("align", lambda: portrait(person, seen.times_s, redrawer.align, size))
    rows = range(len(face.found))
    images = [frames[face.first + row][1] for row in rows]
    placed = list(zip(images, face.matrices, strict=True))
    crops = measure("cut", lambda: np.stack([warp(image, matrix, size) for image, matrix in placed]))
    windows = measure("mels", lambda: speech.windows(seen.times_s))
    reference = redrawer.encode_reference(crops[0])
    drawn = measure("redraw", lambda: redrawer.redraw(crops, windows[: len(crops)], reference))
    region = soft_redraw_mask(size)

    def put_back() -> list[np.ndarray]:
        out = []
        for row, image in zip(rows, images, strict=True):
            alpha, changed = region * face_mask(face.outlines[row], size), image.copy()
            marked = mark(match_colour(drawn[row], crops[row], alpha), alpha, row / FPS, face.eyes)
            paste(changed, marked, face.matrices[row], alpha)
            out.append(changed)
        return out

    pasted = measure("paste", put_back)
    measure("encode", lambda: encode(pasted, sound, folder / "encoded.mp4"))
    return seconds


def encode(images: list[np.ndarray], sound: Path, out: Path) -> None:
    """As dubbing does it."""
    with VideoWriter(out, *SIZE, audio=sound, crf=17, preset="veryfast") as writer:
        for image in images:
            writer.write(image)


def timed(call: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """(wall, processor) seconds, and what was returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


def peak(head: Path, folder: Path, minutes: float, model: Path) -> float:
    """MB that `avcat dub` holds at most."""
    video, sound = lengthened(head, folder, 60 * minutes)
    command = [sys.executable, "-m", "avcat.apps.cli", "dub", str(video), str(sound), "-q"]
    command += ["-o", str(folder / "long.mp4"), "--model", str(model)]
    measuring = f"import resource, subprocess; subprocess.run({command!r}, check=True); "
    measuring += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", measuring], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1e3


if __name__ == "__main__":
    main()
