"""How surely the mark of dubbed faces is found: `python -m benchmarks.watermark [--people 100] [--real FOLDER]`.

Rendered people of 3 s, and stretches of 3 s of real clips, are marked as dubbing does it (crops put back as they were),
encoded as dubbing does it, attacked and checked. Every clip is first scaled so that the redrawn region has 96 pixels
after the attack; clips too small for that are left out. Printed for each attack: how many are found with the mark, and
how many without, and the PSNR of the mark. Eyes are those that Face Mesh finds in the attacked clip; with `--truth`
the renderer's, shaken as much, which is several times faster. Nothing is asserted here.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from avcat.dubbing.paste import paste
from avcat.dubbing.portrait import portrait
from avcat.dubbing.region import face_mask, soft_redraw_mask
from avcat.dubbing.watermark import FALSE_ALARM, find, mark
from avcat.face.align import AlignConfig, invert, warp
from avcat.face.landmarks import Face, MediaPipeDetector
from avcat.face.mask import keep_mask
from avcat.face.track import Person, find_people
from avcat.media.video import decode
from avcat.media.writer import VideoWriter
from avcat.synth.corpus import take_of, wild_people

SECONDS, FPS, CROP, REGION = 3.0, 25, 256, 96
CUT = 0.05  # of each side: a tenth of the width and height
TRUTH_ERROR = 0.01  # in distances of the eyes: how much Face Mesh shakes
LAYOUTS = {
    "reference": AlignConfig((0.37, 0.31), (0.63, 0.31), 0.025, 0.5),
    "closer": AlignConfig((0.33, 0.30), (0.67, 0.30), 0.025, 0.5),
}


@dataclass(frozen=True)
class Attack:
    """What is done to a dubbed file."""

    cut: bool = False
    half: bool = False
    crf: int = 17  # as dubbed


ATTACKS = {
    "as dubbed": Attack(),
    "CRF 28": Attack(crf=28),
    "half size": Attack(half=True),
    "a tenth cut off": Attack(cut=True),
    "all three": Attack(cut=True, half=True, crf=28),
    "all three, CRF 33": Attack(cut=True, half=True, crf=33),
}


@dataclass(frozen=True)
class Clip:
    """Pictures, and the eyes in each."""

    images: list[np.ndarray]
    eyes: np.ndarray  # float32 [T, 2, 2]


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100, help="rendered ones (default: %(default)s)")
    parser.add_argument("--real", type=Path, help="a folder of real clips, as well")
    parser.add_argument("--truth", action="store_true", help="take the eyes of rendered people from the renderer")
    parser.add_argument("--layout", choices=LAYOUTS, default="reference", help="of the crop (default: %(default)s)")
    parser.add_argument("--unmarked", type=int, default=0, metavar="N", help="only check N people without a mark")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    options = parser.parse_args()
    if options.unmarked:
        false_alarms(options.unmarked)
        return
    detector = MediaPipeDetector()
    measure("rendered", rendered(options.people), None if options.truth else detector, options)
    if options.real:
        measure("real", real(options.real, detector), detector, options)


def measure(name: str, clips: Iterator[Clip], detector: MediaPipeDetector | None, options: argparse.Namespace) -> None:
    """Marks, attacks and checks; prints a line per attack."""
    chances: dict[str, list[tuple[float, float]]] = {attack: [] for attack in options.attacks}
    psnrs: list[float] = []
    layout = LAYOUTS[options.layout]
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as folder:
        for clip in clips:
            for attack in options.attacks:
                sized = scaled(clip, ATTACKS[attack], layout)
                if sized is None:
                    continue
                plain, marked, psnr = dubbed(sized, layout)
                psnrs.append(psnr)
                both = [
                    look(replace(sized, images=i), ATTACKS[attack], detector, Path(folder)) for i in (marked, plain)
                ]
                chances[attack].append((both[0], both[1]))
    print(f"{name}, {options.layout} crops: PSNR of the mark {np.mean(psnrs):.1f} dB, {np.min(psnrs):.1f} at least")
    for attack, pairs in chances.items():
        found = np.array(pairs) < FALSE_ALARM
        logs = np.log10(np.maximum([with_mark for with_mark, _ in pairs], 1e-300))
        print(
            f"  {attack}: {found[:, 0].sum()} of {len(pairs)} marked ones found, {found[:, 1].sum()} of the unmarked; "
            f"chance of a false alarm 1e{np.median(logs):.0f} median, 1e{logs.max():.0f} worst, "
            f"of unmarked ones {np.min([without for _, without in pairs]):.2g} least",
            flush=True,
        )


def false_alarms(people: int) -> None:
    """Looks for the mark in unmarked rendered people, with the renderer's eyes; prints how many have it."""
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as folder:
        chances = [look(clip, ATTACKS["as dubbed"], None, Path(folder)) for clip in rendered(people, seed=78)]
    least = np.sort(chances)[:3]
    print(f"{people} without a mark: {(np.array(chances) < FALSE_ALARM).sum()} false alarms; least chances {least}")


def rendered(people: int, seed: int = 77) -> Iterator[Clip]:
    """Speakers of `synth-wild`."""
    for spec in wild_people(people, (SECONDS, SECONDS), seed):
        take = take_of(replace(spec, width=400, height=400, frames=round(SECONDS * FPS)))
        images = list(take.pictures())
        yield Clip(images, take.truth()["eyes"])


def real(folder: Path, detector: MediaPipeDetector) -> Iterator[Clip]:
    """The first stretches of each file that show one face throughout, three at most; taken as if of 25 fps."""
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        frames = (frame.image for frame in decode(path))
        for _ in range(3):
            images = list(islice(frames, round(SECONDS * FPS)))
            eyes = seen_eyes(images, detector)
            if len(images) == round(SECONDS * FPS) and eyes is not None:
                yield Clip(images, eyes)


def seen_eyes(images: list[np.ndarray], detector: MediaPipeDetector) -> np.ndarray | None:
    """float32 [T, 2, 2], None where a picture shows no face."""
    faces = list(detector.follow(images))
    return np.array([face[0].eyes for face in faces]) if all(faces) and faces else None


def scaled(clip: Clip, attack: Attack, layout: AlignConfig) -> Clip | None:
    """Scaled so that the redrawn region is `REGION` wide after the attack; None where the clip is too small."""
    wanted = REGION / (7 / 8) * (layout.right_eye[0] - layout.left_eye[0]) * (2 if attack.half else 1)
    factor = wanted / float(np.median(np.linalg.norm(clip.eyes[:, 1] - clip.eyes[:, 0], axis=1)))
    height, width = clip.images[0].shape[:2]
    size = (2 * round(width * factor / 2), 2 * round(height * factor / 2))
    if factor > 1.4:
        return None
    return resized(clip, size)


def resized(clip: Clip, size: tuple[int, int]) -> Clip:
    """The pictures at another (width, height)."""
    ratio = np.array(size) / clip.images[0].shape[1::-1]
    how = cv2.INTER_AREA if ratio[0] < 1 else cv2.INTER_CUBIC
    images = [cv2.resize(image, size, interpolation=how) for image in clip.images]
    return Clip(images, ((clip.eyes + 0.5) * ratio - 0.5).astype(np.float32))


def dubbed(clip: Clip, layout: AlignConfig) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """The pictures with crops put back without and with the mark, and its PSNR in dB over the redrawn region."""
    times_s = np.arange(len(clip.eyes)) / FPS
    box, mouth = np.zeros(4, np.float32), np.zeros((20, 2), np.float32)
    person = Person(list(range(len(clip.eyes))), [Face(box, 1.0, eyes, mouth) for eyes in clip.eyes])
    face, soft = portrait(person, times_s, layout, CROP), soft_redraw_mask(CROP)
    plain, marked, errors = [], [], []
    for image, time_s, matrix, outline in zip(clip.images, times_s, face.matrices, face.outlines, strict=True):
        crop, alpha = warp(image, matrix, CROP), soft * face_mask(outline, CROP)
        pair = [image.copy(), image.copy()]
        paste(pair[0], crop, matrix, alpha)
        paste(pair[1], mark(crop, alpha, float(time_s), face.eyes), matrix, alpha)
        region = cv2.warpAffine(1 - keep_mask(CROP), invert(matrix), image.shape[1::-1]) > 0.5
        errors.append(np.square(pair[1][region].astype(float) - pair[0][region]).mean())
        plain.append(pair[0])
        marked.append(pair[1])
    return plain, marked, float(10 * np.log10(255**2 / np.mean(errors)))


def look(clip: Clip, attack: Attack, detector: MediaPipeDetector | None, folder: Path) -> float:
    """The chance of a false alarm after the attack; 1 where the face is no longer found."""
    images = encoded(clip.images, 17, "veryfast", folder)
    height, width = images[0].shape[:2]
    y, x = (round(CUT * side) if attack.cut else 0 for side in (height, width))
    changed = Clip([image[y : height - y, x : width - x] for image in images], clip.eyes - np.array([x, y]))
    if attack.half:
        changed = resized(changed, ((width - 2 * x) // 2, (height - 2 * y) // 2))
    if attack != ATTACKS["as dubbed"]:
        changed = replace(changed, images=encoded(changed.images, attack.crf, "medium", folder))
    times_s = np.arange(len(images)) / FPS
    if detector is None:
        distance = float(np.linalg.norm(changed.eyes[:, 1] - changed.eyes[:, 0], axis=1).mean())
        shaken = np.random.default_rng(0).normal(0, TRUTH_ERROR * distance, changed.eyes.shape)
        return find(iter(changed.images), changed.eyes + shaken, times_s).false_alarm
    people = find_people(zip(times_s, changed.images, strict=True), detector).people
    chances = [1.0]
    for person in people:
        if len(person.frames) >= FPS:
            eyes = np.array([face.eyes for face in person.faces])
            seen = (changed.images[frame] for frame in person.frames)
            chances.append(find(seen, eyes, times_s[person.frames]).false_alarm * len(people))
    return min(chances)


def encoded(images: list[np.ndarray], crf: int, preset: str, folder: Path) -> list[np.ndarray]:
    """What is left of them after H.264."""
    height, width = images[0].shape[:2]
    with VideoWriter(folder / "clip.mp4", width, height, crf=crf, preset=preset) as writer:
        for image in images:
            writer.write(image)
    return [frame.image[:height, :width] for frame in decode(folder / "clip.mp4")]


if __name__ == "__main__":
    main()
