"""`python -m stages.dub`: dubs an unseen person with another unseen person's speech: a clip and a picture strip."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import numpy as np

from avcat.data.schema import FPS
from avcat.dubbing import Dubber
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import find_people
from avcat.files import write
from avcat.media.audio import load_audio
from avcat.media.pictures import png
from avcat.media.video import decode_at
from pipelines.clips import read_manifest
from pipelines.resources import with_device
from stages._main import bar, main
from stages._mlflow import tracked
from stages._params import load

RATE = 16_000  # Hz, at which loudness is measured
COLUMNS, COLUMN_WIDTH = 6, 224
CLOSENESS = 1.5  # the side of a picture over the height of the face


def choose_pair(rows: Sequence[dict[str, Any]]) -> tuple[Path, Path]:
    """(video, sound) of two test speakers, by clip id: of the corpus with the longest clips, as words are too short.

    Only files that are a clip as they are. Raises InputError if no corpus has two such speakers.
    """
    parts = Counter((row["root"], row["path"]) for row in rows)
    clips = [row for row in rows if row["split"] == "test" and parts[row["root"], row["path"]] == 1]
    seconds: dict[str, list[float]] = {}
    for row in clips:
        seconds.setdefault(row["corpus"], []).append(row["end_s"] - row["start_s"])
    for corpus in sorted(seconds, key=lambda name: -mean(seconds[name])):
        first, *others = (row for row in clips if row["corpus"] == corpus)
        if other := next((row for row in others if row["speaker"] != first["speaker"]), None):
            return Path(first["root"], first["path"]), Path(other["root"], other["path"])
    raise InputError("no corpus has two test speakers with a file each to dub")


def strip(source: Path, dubbed: Path) -> np.ndarray:
    """uint8 [2 h, 6 h, 3]: the face at six moments at which the dubbed clip is loud, the source above."""
    frames = [[frame.image for frame in decode_at(path)] for path in (source, dubbed)]
    moments = loud_moments(load_audio(dubbed, RATE), min(map(len, frames)))
    seen = find_people(((t / FPS, frames[0][t]) for t in moments), MediaPipeDetector())
    boxes = [face.box for person in seen.people for face in person.faces]
    return np.vstack([np.hstack([_close(images[t], boxes) for t in moments]) for images in frames])


def loud_moments(sound: np.ndarray, frames: int) -> list[int]:
    """The loudest frame of each sixth of `frames` frames, by float32 [n] at 16 kHz, so that mouths are open."""
    samples = RATE // FPS
    padded = np.zeros(frames * samples)
    padded[: sound.size] = sound[: padded.size]
    power = np.square(padded).reshape(frames, samples).sum(axis=1)
    return [int(part[power[part].argmax()]) for part in np.array_split(np.arange(frames), COLUMNS)]


def _close(image: np.ndarray, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """The same square for all moments, around where the face was."""
    height, width = image.shape[:2]
    low, high = np.mean(boxes, axis=0).reshape(2, 2) if boxes else (np.zeros(2), np.array([width, height]))
    side = round(min(height, width, CLOSENESS * float(high[1] - low[1])))
    x, y = np.clip(np.rint((low + high) / 2 - side / 2), 0, (width - side, height - side)).astype(int)
    return cv2.resize(image[y : y + side, x : x + side], (COLUMN_WIDTH, COLUMN_WIDTH), interpolation=cv2.INTER_CUBIC)


def work() -> None:
    """Reads model and manifest, writes `out/<profile>/dub/dubbed.mp4` and `strip.png`."""
    params = load()
    manifest, model = params.out / "manifest.parquet", params.out / "train" / "full" / "model.pt"
    video, sound = choose_pair(read_manifest(manifest))
    folder = params.out / "dub"
    with tracked("dub", {"video": video, "sound": sound}, [manifest, model]) as run:
        device = with_device(params.runtime).device
        dubber = Dubber.from_checkpoint(model, device)
        with bar("dub", "frame") as progress:
            out = folder / "dubbed.mp4"
            result = dubber.dub(video, sound, out, threads=1, progress=lambda _, done, total: progress(done, total))
        picture = strip(video, folder / "dubbed.mp4")
        write(folder / "strip.png", png(picture))
        run.log_image("strip", 0, picture)
        run.summarise({"frames": result.frames, "redrawn": result.redrawn, "duration_s": result.duration_s})


if __name__ == "__main__":
    main(work, __doc__)
