"""Speech: the same for the same words, and phonemes that tile it."""

import numpy as np
import pytest

from avcat.errors import InputError
from avcat.synth.speech import SAMPLE_RATE, SILENCE, Phoneme, Speech, Voice, cut, join, pause, speak

VOICE = Voice("f3", 45, 160)  # a variant with flutter, whose noise eSpeak would seed by the clock


def tile(speech: Speech) -> bool:
    """Whether the phonemes cover the sound from its start to its end without gaps."""
    edges = [0.0, *(phoneme.end_s for phoneme in speech.phonemes)]
    return [phoneme.start_s for phoneme in speech.phonemes] == edges[:-1] and edges[-1] == pytest.approx(
        speech.duration_s, abs=1e-9
    )


def test_the_same_words_give_the_same_samples_whatever_was_said_before() -> None:
    first = speak("common people", VOICE)
    speak("something else", VOICE)
    again = speak("common people", VOICE)
    assert np.array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes
    assert not np.array_equal(first.samples[:4000], speak("common people", Voice("m4", 45, 160)).samples[:4000])


def test_phonemes_tile_the_sound_and_spell_the_word() -> None:
    speech = speak("maybe", VOICE)
    assert tile(speech)
    assert [p.symbol for p in speech.phonemes if p.symbol != SILENCE] == ["m", "eI", "b", "i:"]
    assert speech.samples.dtype == np.float32
    assert 0.05 < np.abs(speech.samples).max() <= 1


def test_phonemes_lie_where_they_sound() -> None:
    """A hiss is where the sound is high: most of its energy above 3 kHz, that of a vowel below."""
    speech = speak("a sofa", Voice("m1", 40, 140))

    def high_share(symbol: str) -> float:
        (at,) = [p for p in speech.phonemes if p.symbol == symbol]
        piece = speech.samples[round(at.start_s * SAMPLE_RATE) : round(at.end_s * SAMPLE_RATE)]
        power = np.abs(np.fft.rfft(piece)) ** 2
        return float(power[len(power) * 3 // 8 :].sum() / power.sum())

    assert high_share("s") > 0.5 > 0.1 > high_share("oU")


def test_join_moves_phonemes_and_merges_silences() -> None:
    word = Speech(np.ones(1600, np.float32), (Phoneme("m", 0.0, 0.06), Phoneme(SILENCE, 0.06, 0.1)))
    joined = join([pause(0.2), word, pause(0.1)])
    assert [p.symbol for p in joined.phonemes] == [SILENCE, "m", SILENCE]
    assert joined.phonemes[2] == Phoneme(SILENCE, pytest.approx(0.26), pytest.approx(0.4))
    assert tile(joined)
    assert joined.samples.tolist() == [0] * 3200 + [1] * 1600 + [0] * 1600


@pytest.mark.parametrize("seconds", [0.03, 0.08, 0.5])
def test_cut_gives_the_length_asked_for(seconds: float) -> None:
    word = Speech(np.ones(1600, np.float32), (Phoneme("m", 0.0, 0.06), Phoneme("a", 0.06, 0.1)))
    short = cut(word, seconds)
    assert len(short.samples) == round(seconds * SAMPLE_RATE)
    assert tile(short)
    assert short.samples.sum() == min(1600, len(short.samples))


def test_an_unknown_language_is_the_users_error() -> None:
    with pytest.raises(InputError, match="qq"):
        speak("hello", Voice("m1", 50, 160, language="qq"))
