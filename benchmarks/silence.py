"""Whether the mouth rests in silence: `python -m benchmarks.silence out/tiny`.

Each test clip of a profile is played back and forth to its own sound, then to two seconds of silence, then to its sound
again, and redrawn by the profile's model, or another. Motion is the mean change of the mouth's opening from frame to
frame (Face Mesh); its ratio of silence to speech is printed. Nothing is asserted here.
"""

import argparse
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from avcat.data.schema import FPS
from avcat.data.windows import ClipStore
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.opening import mouth_opening
from avcat.inference.redraw import Redrawer
from avcat.media.mel import COLUMNS_PER_FRAME, mel_windows

SILENT_S = 2.0
EDGE_FRAMES = 5  # at both ends of the silence, in which the mouth may close and open
ENOUGH = 0.15


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a profile's outputs, with shards/")
    parser.add_argument("--clips", type=int, default=32, help="of each corpus (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=None, help="a model.pt (default: that of the profile)")
    options = parser.parse_args()
    redrawer = Redrawer.from_checkpoint(options.model or options.out / "train" / "full" / "model.pt")
    store = ClipStore(options.out / "shards" / "test", image_size=redrawer.crop_size, cache_bytes=0)
    clips = {
        corpus: [n for n, (row, _, _) in enumerate(store.rows) if row["corpus"] == corpus][: options.clips]
        for corpus in sorted({row["corpus"] for row, _, _ in store.rows})
    }
    detector = MediaPipeDetector()
    for corpus, numbers in clips.items():
        motions = np.array([motion(store, clip, redrawer, detector) for clip in numbers])
        ratios = motions[:, 1] / motions[:, 0]
        print(
            f"{corpus}, {len(numbers)} clips: motion in silence over motion in speech {np.nanmean(ratios):.3f} on "
            f"average, {np.nanmedian(ratios):.3f} median, {np.nanmax(ratios):.3f} at most; "
            f"{(ratios < ENOUGH).sum()} below {ENOUGH}; of all motion {motions[:, 1].sum() / motions[:, 0].sum():.3f}",
            flush=True,
        )


def motion(store: ClipStore, clip: int, redrawer: Redrawer, detector: MediaPipeDetector) -> tuple[float, float]:
    """Mean change of the opening per frame, in speech and in silence."""
    count, silent = store.lengths[clip], round(SILENT_S * FPS)
    mel = store.mel(clip)
    sound = np.concatenate([mel, np.zeros((mel.shape[0], COLUMNS_PER_FRAME * silent), np.float32), mel], axis=1)
    order = list(islice(cycle([*range(count), *range(count - 2, 0, -1)]), 2 * count + silent))
    crops = store.frames(clip, order)
    drawn = redrawer.redraw(
        crops, mel_windows(sound, np.arange(len(crops))), redrawer.encode_reference(store.frames(clip, [0])[0])
    )
    opening = np.full(len(drawn), np.nan)
    for t, faces in enumerate(detector.follow(drawn)):
        for face in faces[:1]:
            opening[t] = mouth_opening(face.mouth[None], face.eyes[None])[0]
    change = np.abs(np.diff(opening))
    quiet = slice(count + EDGE_FRAMES, count + silent - EDGE_FRAMES)
    loud = np.r_[1 : count - 1, count + silent : len(change)]
    return float(np.nanmean(change[loud])), float(np.nanmean(change[quiet]))


if __name__ == "__main__":
    main()
