"""How often a trained SyncNet finds the speaker among two people: `python -m benchmarks.speaker SYNCNET.pt`.

Renders pairs of people that no profile trains on, beside each other, with the sound of one of them, and lets
`data.speaker: agreement` choose.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import find_people
from avcat.media.video import decode_at
from avcat.media.writer import VideoWriter
from avcat.metrics.agreement import Agreement
from avcat.synth.corpus import Take, take_of, wild_people
from avcat.synth.speech import SAMPLE_RATE

SEED, SIDE, HEIGHT, SECONDS = 1000, 256, 320, (3.0, 4.0)  # the profiles' corpora have seed 0


def main() -> None:
    """Prints how many of the pairs were judged right, for each side that was heard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("syncnet", type=Path, help="a trained SyncNet's model.pt")
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="of people (default %(default)s)")
    options = parser.parse_args()
    try:
        choose = Agreement.of_syncnet(options.syncnet, "cpu")
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    right = {"left": 0, "right": 0}
    with tempfile.TemporaryDirectory(prefix="avcat-bench-") as folder:
        for pair in tqdm(pairs(options.pairs), total=options.pairs, unit="pair"):
            for place, side in enumerate(right):
                video = Path(folder) / f"{side}.mp4"
                write_beside_each_other(video, pair, heard=pair[place])
                timed = ((index / 25, image) for index, _, image in decode_at(video))
                seen = find_people(timed, MediaPipeDetector(max_faces=2))
                people = sorted(seen.people, key=lambda person: person.faces[0].box[0])
                right[side] += len(people) == 2 and choose(video, 0.0, None, seen, people) is people[place]
    print(
        f"{options.pairs} pairs: " + ", ".join(f"the {side} one heard: {count} right" for side, count in right.items())
    )


def pairs(count: int) -> Iterator[tuple[Take, Take]]:
    """People of the wild corpus, in pairs."""
    specs = wild_people(2 * count, SECONDS, SEED, SIDE)
    for left, right in zip(specs[::2], specs[1::2], strict=True):
        yield take_of(left), take_of(right)


def write_beside_each_other(path: Path, pair: tuple[Take, Take], heard: Take) -> None:
    """A video as long as the shorter take, with the sound of one."""
    pictures = [
        np.hstack([at_height(picture) for picture in both])
        for both in zip(*(take.pictures() for take in pair), strict=False)
    ]
    height, width = pictures[0].shape[:2]
    sound = heard.speech.samples[: len(pictures) * SAMPLE_RATE // 25]
    with VideoWriter(path, width, height, audio=(sound, SAMPLE_RATE)) as video:
        for picture in pictures:
            video.write(picture)


def at_height(picture: np.ndarray) -> np.ndarray:
    """Wild takes come in many sizes; here all are `HEIGHT` high, and of even width."""
    width = 2 * round(HEIGHT * picture.shape[1] / picture.shape[0] / 2)
    return cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
