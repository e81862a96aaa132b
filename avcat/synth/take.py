"""One clip: a person speaks in front of a camera."""

from collections.abc import Iterator

import numpy as np

from avcat.data.schema import FPS
from avcat.seeding import rng_of
from avcat.synth import motion
from avcat.synth.identity import draw_identity
from avcat.synth.scene import Camera, Sensor, draw_light, paint_background
from avcat.synth.speaker import Landmarks, Speaker
from avcat.synth.speech import SAMPLE_RATE, Speech, Voice, cut, join, pause, speak
from avcat.synth.visemes import PARAMETERS, MouthTrack

LOUDNESS = 0.08  # root mean square of the spoken part
EYE_LINE = 0.425  # of the height: where the eyes are at rest


class Take:
    """Speech and head movement are fixed at construction; pictures are drawn one by one."""

    def __init__(
        self,
        *,
        identity_seed: tuple[object, ...],
        clip_seed: tuple[object, ...],
        voice: Voice,
        texts: tuple[str, ...],
        frames: int,
        size: tuple[int, int],
        wild: bool,
    ) -> None:
        """`size` is (width, height) in pixels; seeds are the parts of `avcat.seeding.rng_of`."""
        self._wild, self._clip_seed = wild, clip_seed
        self._texts, self._voice = texts, voice
        self._identity = draw_identity(rng_of(*identity_seed), female=voice.variant.startswith("f"))
        self.speech = _speech(rng_of("speech", *clip_seed), voice, texts, frames / FPS, wild)
        self.times_s = (np.arange(frames) + 0.5) / FPS
        self._shapes = MouthTrack(self.speech.phonemes).at(self.times_s)
        movement = motion.WILD if wild else motion.WORDS
        self._poses = motion.poses(rng_of("motion", *clip_seed), movement, self.times_s)
        self._camera = _camera(rng_of("camera", *clip_seed), size, wild)
        self._landmarks: list[Landmarks] = []

    def pictures(self) -> Iterator[np.ndarray]:
        """Draws uint8 [height, width, 3] RGB, frame by frame."""
        random, camera = rng_of("scene", *self._clip_seed), self._camera
        speaker = Speaker(self._identity, draw_light(random, self._wild), camera)
        background = paint_background(random, camera.width, camera.height, self._wild)
        sensor = Sensor(random, camera.width, camera.height, self._wild)
        self._landmarks = []
        for frame, (time_s, shape, pose) in enumerate(zip(self.times_s, self._shapes, self._poses, strict=True)):
            picture, landmarks = speaker.draw(background, shape, pose)
            self._landmarks.append(landmarks)
            yield sensor.expose(picture, frame, float(time_s))

    def truth(self) -> dict[str, np.ndarray]:
        """Ground truth of the T frames, after `pictures` has drawn them all.

        eyes float32 [T, 2, 2] and mouth float32 [T, 20, 2] in pixels, see `Landmarks`; opening float32 [T];
        visemes float32 [T, 6] with their names in viseme_names; pose float32 [T, 4]: yaw, pitch, roll in radians, zoom;
        lids float32 [T]; phonemes (text) with phoneme_start_s, phoneme_end_s float64; text, voice (text).
        """
        assert len(self._landmarks) == len(self.times_s), "draw the pictures first"
        phonemes = self.speech.phonemes
        return {
            "eyes": np.stack([marks.eyes for marks in self._landmarks]),
            "mouth": np.stack([marks.mouth for marks in self._landmarks]),
            "opening": np.array([marks.opening for marks in self._landmarks], np.float32),
            "visemes": self._shapes.astype(np.float32),
            "viseme_names": np.array(PARAMETERS),
            "pose": np.array([(p.yaw, p.pitch, p.roll, p.zoom) for p in self._poses], np.float32),
            "lids": np.array([p.lids for p in self._poses], np.float32),
            "phonemes": np.array([p.symbol for p in phonemes], str),
            "phoneme_start_s": np.array([p.start_s for p in phonemes]),
            "phoneme_end_s": np.array([p.end_s for p in phonemes]),
            "text": np.array(" ".join(self._texts)),
            "voice": np.array(f"{self._voice.variant} pitch {self._voice.pitch} {self._voice.rate_wpm} wpm"),
        }


def _camera(random: np.random.Generator, size: tuple[int, int], wild: bool) -> Camera:
    width, height = size
    side = min(size)
    share = random.uniform(0.165, 0.20) if wild else random.uniform(0.198, 0.208)
    sideways, line = (random.uniform(-0.03, 0.03), random.uniform(-0.02, 0.02)) if wild else (0.0, 0.0)
    top = height / 2 - side / 2
    eyes = (width / 2 + sideways * side - 0.5, top + (EYE_LINE + line) * side - 0.5)
    return Camera(width, height, float(share * side), (float(eyes[0]), float(eyes[1])))


def _speech(random: np.random.Generator, voice: Voice, texts: tuple[str, ...], seconds: float, wild: bool) -> Speech:
    """The texts with silence before, between and after, as long as the clip; cut if longer."""
    parts = []
    for text in texts:
        parts += [pause(random.uniform(0.12, 0.55 if wild else 0.30)), speak(text, voice)]
    whole = cut(join(parts), seconds)
    samples = whole.samples.astype(np.float64)
    loud = samples[np.abs(samples) > 1e-3]
    samples *= LOUDNESS / max(np.sqrt(np.mean(loud**2)) if len(loud) else 0.0, 1e-3)
    hiss_db = random.uniform(-75, -50) if wild else -75  # below full scale
    samples += 10 ** (hiss_db / 20) * random.standard_normal(len(samples))
    assert len(samples) == round(seconds * SAMPLE_RATE)
    return Speech(np.clip(samples, -1, 1).astype(np.float32), whole.phonemes)
