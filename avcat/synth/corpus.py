"""The two rendered corpora: speaker and text of each clip, and the files of one clip."""

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from avcat.errors import InputError
from avcat.files import atomic_path
from avcat.media.writer import VideoWriter
from avcat.seeding import rng_of
from avcat.settings import settings
from avcat.synth.speech import SAMPLE_RATE, Voice
from avcat.synth.take import Take
from avcat.synth.texts import SPLITS, draw_sentence, words_of

WORDS, WILD = "synth-words", "synth-wild"
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
PITCHES = range(26, 76, 2)
RATES_WPM = range(135, 191, 5)
WORD_FRAMES = (28, 36)  # similar to LRW's 29
PRESET = "superfast"  # the slowest without x264's macroblock tree: its bytes differ from run to run at some sizes
FRAMES_PER_SENTENCE = 60  # about; a wild clip gets more sentences than fit, and ends within the last


@settings
class SpeakersConfig:
    """Number of rendered people per split, and of clips per person. Splits share no person."""

    train: int
    val: int
    test: int
    clips_per_speaker: int


@settings
class CorpusConfig:
    """`synth-words` (like LRW) and `synth-wild` (like VoxCeleb), rendered by `avcat.synth`."""

    seed: int
    size: int  # side of a synth-words video in pixels; synth-wild varies around it
    words: SpeakersConfig
    wild: SpeakersConfig
    wild_seconds: tuple[float, float]  # shortest and longest synth-wild clip


@dataclass(frozen=True)
class ClipSpec:
    """All inputs of a clip: the same spec gives the same bytes."""

    corpus: str
    split: str
    speaker: str
    name: str
    seed: int
    voice: Voice
    texts: tuple[str, ...]
    frames: int
    width: int
    height: int
    crf: int  # H.264's constant rate factor

    @property
    def path(self) -> Path:
        """Of the video, relative to the folder of all corpora."""
        return Path(self.corpus, self.split, self.speaker, f"{self.name}.mp4")

    @property
    def digest(self) -> str:
        """32 hex digits of the spec and of the code that renders it."""
        text = json.dumps(asdict(self), sort_keys=True) + _code_digest()
        return hashlib.blake2s(text.encode(), digest_size=16).hexdigest()


def plan(config: CorpusConfig) -> list[ClipSpec]:
    """All clips of both corpora, in the order of their paths.

    Speakers, voices (as variant, pitch and speed together) and texts are disjoint between the splits, and no speaker
    is in both corpora. Raises InputError when there are more speakers than voices.
    """
    voices = _voices(config.seed)
    specs: list[ClipSpec] = []
    for corpus, counts in ((WORDS, config.words), (WILD, config.wild)):
        for split in SPLITS:
            for number in range(getattr(counts, split)):
                voice = next(voices, None)
                if voice is None:
                    raise InputError(f"corpus.{corpus.split('-')[1]}: more speakers than there are voices")
                specs += _clips(config, counts, corpus, split, f"{split}{number:04d}", voice)
    return sorted(specs, key=lambda spec: spec.path)


def wild_people(count: int, seconds: tuple[float, float], seed: int = 0, size: int = 256) -> list[ClipSpec]:
    """One clip of `synth-wild` of each of some people, for measurements."""
    some, none = (SpeakersConfig(train=n, val=0, test=0, clips_per_speaker=1) for n in (count, 0))
    return plan(CorpusConfig(seed, size, none, some, seconds))


def _voices(seed: int) -> Iterator[Voice]:
    """Every voice once, shuffled."""
    every = [Voice(variant, pitch, rate) for variant in VARIANTS for pitch in PITCHES for rate in RATES_WPM]
    order = rng_of("voices", seed).permutation(len(every))
    return (every[i] for i in order)


def _clips(
    config: CorpusConfig, counts: SpeakersConfig, corpus: str, split: str, speaker: str, voice: Voice
) -> Iterator[ClipSpec]:
    speaker = f"{corpus.removeprefix('synth-')}-{speaker}"
    random = rng_of("plan", config.seed, corpus, speaker)
    words = random.permutation(words_of(split)).tolist()
    for take in range(counts.clips_per_speaker):
        size = {"width": config.size, "height": config.size, "crf": 20}
        if corpus == WORDS:
            texts = [words[take % len(words)]]
            name, frames = f"{texts[0]}-{take:02d}", int(random.integers(WORD_FRAMES[0], WORD_FRAMES[1] + 1))
        else:
            name, frames = f"take-{take:02d}", round(25 * random.uniform(*config.wild_seconds))
            texts = [draw_sentence(random, split) for _ in range(1 + frames // FRAMES_PER_SENTENCE)]
            size = _wild_size(random, config.size)
        yield ClipSpec(corpus, split, speaker, name, config.seed, voice, tuple(texts), frames, **size)


def _wild_size(random: np.random.Generator, size: int) -> dict[str, int]:
    side = size * random.uniform(0.94, 1.56)
    shape = random.choice([1.0, 1.0, 1.25, 4 / 3, 0.8])  # width / height
    width, height = side * max(shape, 1.0), side * max(1 / shape, 1.0)
    return {"width": 2 * round(width / 2), "height": 2 * round(height / 2), "crf": int(random.integers(18, 31))}


def render(spec: ClipSpec, folder: Path) -> Path:
    """Writes the video `folder / spec.path` and, beside it, `<name>.truth.npz` (see `Take.truth`).

    Both are complete or absent; an existing clip of the same spec and code is kept.
    """
    path = folder / spec.path
    if not is_rendered(spec, folder):
        take = take_of(spec)
        sound = (take.speech.samples, SAMPLE_RATE)
        with VideoWriter(path, spec.width, spec.height, audio=sound, crf=spec.crf, preset=PRESET, threads=1) as video:
            for picture in take.pictures():
                video.write(picture)
        with atomic_path(truth_path(path)) as part:
            np.savez_compressed(part, digest=spec.digest, **take.truth())
    return path


def take_of(spec: ClipSpec) -> Take:
    """The content of the clip, ready to be drawn."""
    return Take(
        identity_seed=("identity", spec.seed, spec.speaker),
        clip_seed=("clip", spec.seed, spec.corpus, spec.speaker, spec.name),
        voice=spec.voice,
        texts=spec.texts,
        frames=spec.frames,
        size=(spec.width, spec.height),
        wild=spec.corpus == WILD,
    )


def is_rendered(spec: ClipSpec, folder: Path) -> bool:
    """Whether the clip exists, made from this spec by this code. The truth is written last, so it vouches for both."""
    video = folder / spec.path
    try:
        with np.load(truth_path(video)) as truth:
            return video.is_file() and str(truth["digest"]) == spec.digest
    except (OSError, ValueError, KeyError):
        return False


def truth_path(video: Path) -> Path:
    """Path of the ground truth of a rendered video."""
    return video.with_name(f"{video.stem}.truth.npz")


@functools.cache
def _code_digest() -> str:
    """Changes with any file of this folder: clips drawn by other code are drawn again."""
    digest = hashlib.blake2s(digest_size=16)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
