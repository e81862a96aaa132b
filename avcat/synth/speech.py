"""Spoken text with the time of each phoneme, from eSpeak NG (GPL-3, called at run time, not linked or copied)."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soxr

from avcat.errors import InputError
from avcat.synth import espeak

SAMPLE_RATE = 16_000  # paper, section 4
SILENCE = "_"
STRESS_MARKS = "',%="  # eSpeak puts them before a phoneme


@dataclass(frozen=True)
class Voice:
    """One speaker's voice: an eSpeak variant (`m1`..`m7`, `f1`..`f5`), its pitch (0..99) and its speed."""

    variant: str
    pitch: int
    rate_wpm: int
    language: str = "en-us"
    pitch_range: int = 50


@dataclass(frozen=True)
class Phoneme:
    """An eSpeak phoneme without its stress marks (`SILENCE` for a pause) and its time in seconds."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Speech:
    """`samples` float32 [n] in -1..1 at `SAMPLE_RATE`; `phonemes` in order, without gaps, from 0 to `duration_s`."""

    samples: np.ndarray
    phonemes: tuple[Phoneme, ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def speak(text: str, voice: Voice) -> Speech:
    """Speaks `text`: the same samples for the same arguments, independent of earlier calls and of the process.

    Each call runs its own process (0.03-0.1 s), because eSpeak keeps state between utterances; starting a program is
    also safe in a process with threads, unlike a fork.

    Raises InputError if eSpeak NG is not installed or has no such voice.
    """
    try:
        import espeakng_loader  # of the extra `synth`: dubbing does not need it
    except ImportError as error:
        raise InputError("rendering speakers needs eSpeak NG: install avcat[synth]") from error
    request = {
        "library": espeakng_loader.get_library_path(),
        "data": espeakng_loader.get_data_path(),
        "text": text,
        **asdict(voice),
        "language": f"{voice.language}+{voice.variant}",
    }
    program = [sys.executable, "-S", "-E", str(Path(espeak.__file__))]
    done = subprocess.run(program, input=json.dumps(request).encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise InputError(f"{voice.language}+{voice.variant}: {done.stderr.decode(errors='replace').strip()}")
    head, sound = done.stdout.split(b"\n", 1)
    return _speech(json.loads(head), sound)


def pause(duration_s: float) -> Speech:
    """Silence."""
    samples = np.zeros(round(duration_s * SAMPLE_RATE), np.float32)
    return Speech(samples, (Phoneme(SILENCE, 0.0, len(samples) / SAMPLE_RATE),) if len(samples) else ())


def join(parts: list[Speech]) -> Speech:
    """The parts one after another; neighbouring silences become one."""
    phonemes: list[Phoneme] = []
    start = 0.0
    for part in parts:
        for phoneme in part.phonemes:
            moved = Phoneme(phoneme.symbol, start + phoneme.start_s, start + phoneme.end_s)
            if phonemes and phonemes[-1].symbol == moved.symbol == SILENCE:
                moved = Phoneme(SILENCE, phonemes.pop().start_s, moved.end_s)
            phonemes.append(moved)
        start += part.duration_s
    return Speech(np.concatenate([part.samples for part in parts]), tuple(phonemes))


def cut(speech: Speech, duration_s: float) -> Speech:
    """The first `duration_s` seconds, padded with silence if it is shorter."""
    count = round(duration_s * SAMPLE_RATE)
    if count >= len(speech.samples):
        return join([speech, pause((count - len(speech.samples)) / SAMPLE_RATE)])
    end = count / SAMPLE_RATE
    kept = [Phoneme(p.symbol, p.start_s, min(p.end_s, end)) for p in speech.phonemes if p.start_s < end]
    return Speech(speech.samples[:count], tuple(kept))


def _speech(head: dict, sound: bytes) -> Speech:
    native = np.frombuffer(sound, "<i2").astype(np.float32) / 32768
    samples = soxr.resample(native, head["sample_rate"], SAMPLE_RATE)
    duration = len(samples) / SAMPLE_RATE
    starts = [min(start, duration) for _, start in head["marks"]]
    names = [_symbol(name) for name, _ in head["marks"]]
    if not starts or starts[0] > 0:
        names.insert(0, SILENCE)
        starts.insert(0, 0.0)
    ends = [*starts[1:], duration]
    marks = [Phoneme(*mark) for mark in zip(names, starts, ends, strict=True) if mark[2] > mark[1]]
    return join([Speech(samples, tuple(marks))])


def _symbol(name: str) -> str:
    bare = name.lstrip(STRESS_MARKS)
    return SILENCE if bare.startswith("_") or not bare else bare
