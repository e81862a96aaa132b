"""`python -m stages.dub`: a person never seen says what another person never seen said; a clip and a picture strip."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avcat.dub import Dubber
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.files import atomic_path
from avcat.media.video import decode_at, probe
from avcat.redraw import Redrawer
from pipelines.clips import read_manifest
from pipelines.resources import with_device
from stages._main import bar, run_stage
from stages._params import load
from stages._track import tracked

CORPUS = "synth-wild"
COLUMNS, COLUMN_WIDTH = 10, 160


def choose_pair(rows: Sequence[dict[str, Any]]) -> tuple[Path, Path]:
    """(video, sound) of two test speakers of the same corpus, by clip id. Raises InputError where there is one only."""
    clips = [row for row in rows if row["corpus"] == CORPUS and row["split"] == "test"]
    others = [row for row in clips if row["speaker"] != clips[0]["speaker"]]
    if not others:
        raise InputError(f"{CORPUS}: two test speakers are needed, raise corpus.wild.test")
    video, sound = (Path(row["root"], row["path"]) for row in (clips[0], others[0]))
    return video, sound


def strip(source: Path, dubbed: Path) -> np.ndarray:
    """uint8 [2 h, 10 w, 3]: the same ten moments of both, the source above."""
    duration_s = min(probe(source).duration_s, probe(dubbed).duration_s)
    return np.vstack([np.hstack([_small(f.image) for f in _spread(path, duration_s)]) for path in (source, dubbed)])


def _spread(path: Path, duration_s: float) -> list[Any]:
    return list(decode_at(path, COLUMNS / duration_s, start_s=duration_s / COLUMNS / 2))[:COLUMNS]


def _small(image: np.ndarray) -> np.ndarray:
    height = round(image.shape[0] * COLUMN_WIDTH / image.shape[1])
    return cv2.resize(image, (COLUMN_WIDTH, height), interpolation=cv2.INTER_AREA)


def work() -> None:
    """Reads model and manifest, writes `out/<profile>/dub/dubbed.mp4` and `strip.png`."""
    params = load()
    manifest, model = params.out / "manifest.parquet", params.out / "train" / "full" / "model.pt"
    video, sound = choose_pair(read_manifest(manifest))
    folder = params.out / "dub"
    with tracked("dub", {"video": video, "sound": sound}, [manifest, model]) as run:
        device = with_device(params.runtime).device
        dubber = Dubber(Redrawer.from_checkpoint(model, device), MediaPipeDetector())
        with bar("dub", "frame") as progress:
            out = folder / "dubbed.mp4"
            result = dubber.dub(video, sound, out, threads=1, progress=lambda _, done, total: progress(done, total))
        picture = strip(video, folder / "dubbed.mp4")
        with atomic_path(folder / "strip.png") as part:
            cv2.imwrite(str(part), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        run.log_image("strip", 0, picture)
        run.summarise({"frames": result.frames, "redrawn": result.redrawn, "duration_s": result.duration_s})


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    return run_stage(work)


if __name__ == "__main__":
    sys.exit(main())
