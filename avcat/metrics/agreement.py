"""Which of several people speaks: the one whose mouth agrees most with the sound."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from avcat.checkpoint import load_model
from avcat.data import schema
from avcat.data.inputs import InputConfig
from avcat.face.align import alignment, warp
from avcat.face.track import Person, Sightings, track_of
from avcat.media.audio import load_audio
from avcat.media.container import Notes
from avcat.media.mel import COLUMNS_PER_FRAME, mel_spectrogram
from avcat.media.video import decode_at
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics.embed import embed_clip
from avcat.metrics.sync import sync_scores

MAX_SHIFT = 15  # frames to each side; the confidence compares the best of these with their median
BATCH_WINDOWS = 64
Judge = Callable[[np.ndarray, np.ndarray], float]  # crops uint8 [T, S, S, 3], mel [80, 4 T] -> higher if they agree


class Agreement:
    """Chooses by a judge's score of each person's aligned crops and the clip's sound."""

    def __init__(self, judge: Judge, inputs: InputConfig, crop_size: int) -> None:
        self._judge, self._inputs, self._crop_size = judge, inputs, crop_size

    @classmethod
    def of_syncnet(cls, checkpoint: Path, device: str) -> "Agreement":
        """The judge is the confidence of a trained SyncNet. Raises InputError if it cannot be loaded."""
        network, facts = load_model(checkpoint, SyncNet, device)

        def confidence(crops: np.ndarray, mel: np.ndarray) -> float:
            return sync_scores(*embed_clip(network, crops, mel, BATCH_WINDOWS), MAX_SHIFT).confidence

        return cls(confidence, facts.inputs, network.config.image_size)

    def __call__(
        self, video: Path, start_s: float, end_s: float | None, seen: Sightings, people: list[Person]
    ) -> Person:
        """The one of `people` with the highest score; the first of equals. Errors and arguments as for `scores`."""
        found = self.scores(video, start_s, end_s, seen, people)
        return people[max(range(len(people)), key=found.__getitem__)]

    def scores(
        self,
        video: Path,
        start_s: float,
        end_s: float | None,
        seen: Sightings,
        people: list[Person],
        notes: Notes | None = None,
    ) -> list[float]:
        """How well each of `people`, seen on the 25 fps grid, agrees with the clip's sound; minus infinity if unknown.

        Decodes the clip a second time; `notes` as for `decode`.
        """
        images = (image for _, _, image in decode_at(video, schema.FPS, start_s, end_s, notes))
        crops = crops_of(images, seen, people, self._inputs, self._crop_size)
        samples = load_audio(video, self._inputs.mel.sample_rate, start_s, end_s)
        mel = mel_spectrogram(samples, self._inputs.mel)

        def agreement(place: int) -> float:
            first = people[place].frames[0]
            count = min(len(crops[place]), mel.shape[1] // COLUMNS_PER_FRAME - first)
            if count < schema.WINDOW_FRAMES:  # too little sound
                return -np.inf
            heard = mel[:, COLUMNS_PER_FRAME * first : COLUMNS_PER_FRAME * (first + count)]
            return self._judge(crops[place][:count], heard)

        return [agreement(place) for place in range(len(people))]


def crops_of(
    images: Iterable[np.ndarray], seen: Sightings, people: list[Person], inputs: InputConfig, size: int
) -> list[np.ndarray]:
    """The aligned crops `uint8 [T, size, size, 3]` of each person, from the first to the last frame that shows them."""
    spans = [range(person.frames[0], person.frames[-1] + 1) for person in people]
    matrices = []
    for person, span in zip(people, spans, strict=True):
        track, part = track_of(seen, person), slice(span.start, span.stop)
        matrices.append(alignment(track.eyes[part], seen.times_s[part], inputs.align, size, track.mouth[part]))
    crops = [np.empty((len(span), size, size, 3), np.uint8) for span in spans]
    for frame, image in enumerate(images):
        for span, matrix, out in zip(spans, matrices, crops, strict=True):
            if frame in span:
                out[frame - span.start] = warp(image, matrix[frame - span.start], size)
    return crops
