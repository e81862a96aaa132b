"""Visemes: silence rests, p b m close, movement is smooth, ahead of the sound, and determined locally."""

import numpy as np
import pytest

from avcat.synth.speech import SILENCE, Phoneme, Voice, speak
from avcat.synth.texts import WORDS
from avcat.synth.visemes import CLOSURE, OPENING, PARAMETERS, PHONEMES, ROUND, TUCK, MouthTrack, visemes_of


def phonemes(*spans: tuple[str, float]) -> list[Phoneme]:
    """Phonemes with these symbols and durations, one after another."""
    edges = np.cumsum([0.0, *(duration for _, duration in spans)]).tolist()
    return [Phoneme(symbol, a, b) for (symbol, _), a, b in zip(spans, edges, edges[1:], strict=False)]


def test_silence_is_the_mouth_at_rest() -> None:
    track = MouthTrack(phonemes((SILENCE, 0.4), ("A:", 0.3), (SILENCE, 0.4)))
    assert np.abs(track.at(np.array([-1.0, 0.0, 0.2, 0.95, 1.1, 5.0]))).max() < 0.01
    assert track.at(np.array([0.53]))[0, OPENING] > 0.85
    assert not MouthTrack([]).at(np.arange(3.0)).any()


@pytest.mark.parametrize("symbol", ["p", "b", "m"])
@pytest.mark.parametrize("duration", [0.02, 0.06, 0.12])
@pytest.mark.parametrize("phase", np.linspace(0, 0.04, 6).tolist())
def test_lips_touch_in_some_frame_however_the_frames_fall(symbol: str, duration: float, phase: float) -> None:
    track = MouthTrack(phonemes((SILENCE, 0.2), ("A:", 0.15), (symbol, duration), ("A:", 0.2), (SILENCE, 0.2)))
    frames = track.at(phase + np.arange(30) / 25)
    assert frames[:, CLOSURE].max() > 0.999
    assert MouthTrack(phonemes(("A:", 0.2), ("t", 0.1), ("A:", 0.2))).at(np.linspace(0, 0.5, 99))[:, CLOSURE].max() == 0


def test_teeth_meet_the_lip_in_f() -> None:
    track = MouthTrack(phonemes(("A:", 0.2), ("f", 0.1), ("A:", 0.2)))
    assert track.at(np.array([0.225]))[0, TUCK] > 0.85


def test_movement_is_smooth() -> None:
    times = np.arange(0, 1.2, 0.001)
    track = MouthTrack(
        phonemes((SILENCE, 0.2), ("m", 0.06), ("aI", 0.2), ("b", 0.05), ("u:", 0.2), ("s", 0.1), ("A:", 0.2))
    )
    shape = track.at(times)
    assert np.abs(np.diff(shape, axis=0)).max() < 0.05  # a millisecond moves nothing by more than a twentieth
    assert np.abs(np.diff(shape, n=2, axis=0)).max() < 0.005
    assert shape.min() >= -1
    assert shape.max() <= 1


def test_rounding_comes_ahead_of_the_vowel() -> None:
    rounded = MouthTrack(phonemes(("s", 0.2), ("u:", 0.2))).at(np.array([0.185]))[0, ROUND]
    spread = MouthTrack(phonemes(("s", 0.2), ("i:", 0.2))).at(np.array([0.185]))[0, ROUND]
    assert rounded > 0.4 > 0.05 > spread


def test_a_shape_is_settled_by_the_sound_within_a_tenth_of_a_second() -> None:
    """The network hears 0.2 s around a frame; more must not be needed."""
    random = np.random.default_rng(0)
    symbols = [symbol for symbol in PHONEMES if symbol != SILENCE]
    for _ in range(20):
        far, near = random.choice(symbols, 2), random.choice(symbols, 4).tolist()
        middle = [(symbol, 0.06) for symbol in near]
        shapes = [
            MouthTrack(phonemes((other, 0.3), *middle, (other, 0.3))).at(np.array([0.42 - 0.025]))[0] for other in far
        ]
        assert np.abs(shapes[0] - shapes[1]).max() < 0.06


def test_every_phoneme_of_the_words_is_in_the_table() -> None:
    spoken = speak(" ".join(WORDS[::4]), Voice("m1", 50, 160))
    unknown = {p.symbol for p in spoken.phonemes} - set(PHONEMES)
    assert len(unknown) <= 2, unknown  # they fall back to their beginnings
    assert all(visemes_of(symbol) != ("rest",) for symbol in unknown)
    assert visemes_of("aI3@") == visemes_of("aI3")
    assert visemes_of("!") == ("schwa",)


def test_parameters_have_the_names_of_their_columns() -> None:
    assert PARAMETERS == ("opening", "spread", "round", "closure", "tuck", "tongue")
