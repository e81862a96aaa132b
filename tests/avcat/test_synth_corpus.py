"""The plan keeps splits apart; a rendered clip is the same file in any process, and its truth fits it."""

import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avcat.errors import InputError
from avcat.media.audio import load_audio
from avcat.media.video import decode, probe
from avcat.synth.corpus import (
    WILD,
    WORDS,
    ClipSpec,
    CorpusConfig,
    SpeakersConfig,
    is_rendered,
    plan,
    render,
    take_of,
    truth_path,
)
from avcat.synth.texts import SPLITS, draw_sentence, split_of, words_of
from avcat.synth.texts import WORDS as WORD_LIST

PEOPLE = SpeakersConfig(train=12, val=3, test=4, clips_per_speaker=3)
CONFIG = CorpusConfig(seed=7, size=128, words=PEOPLE, wild=PEOPLE, wild_seconds=(1.2, 2.0))


def specs_of(corpus: str) -> list[ClipSpec]:
    return [spec for spec in plan(CONFIG) if spec.corpus == corpus]


def test_the_plan_is_pure_complete_and_ordered() -> None:
    specs = plan(CONFIG)
    assert specs == plan(CONFIG)
    assert len(specs) == 2 * (12 + 3 + 4) * 3
    paths = [spec.path for spec in specs]
    assert paths == sorted(set(paths))
    assert specs != plan(replace(CONFIG, seed=8))
    assert all(28 <= spec.frames <= 36 for spec in specs_of(WORDS))
    assert all(30 <= spec.frames <= 50 for spec in specs_of(WILD))
    assert len({spec.width for spec in specs_of(WILD)}) > 5
    assert all(spec.width % 2 == spec.height % 2 == 0 for spec in specs)


def test_splits_share_no_speaker_no_voice_and_no_text() -> None:
    for attribute in ("speaker", "voice", "texts"):
        seen = defaultdict(set)
        for spec in plan(CONFIG):
            value = getattr(spec, attribute)
            seen[spec.split].update(value if attribute == "texts" else [value])
        assert seen.keys() == set(SPLITS)
        total = set().union(*seen.values())
        assert sum(map(len, seen.values())) == len(total), attribute
    voices = defaultdict(set)
    for spec in plan(CONFIG):
        voices[spec.voice].add(spec.speaker)
    assert all(len(speakers) == 1 for speakers in voices.values())


def test_more_speakers_than_voices_is_the_users_error() -> None:
    crowd = SpeakersConfig(train=9999, val=0, test=0, clips_per_speaker=0)
    with pytest.raises(InputError, match=r"corpus\.wild: more speakers"):
        plan(replace(CONFIG, wild=crowd))


def test_texts_belong_to_one_split() -> None:
    assert sorted(word for split in SPLITS for word in words_of(split)) == sorted(WORD_LIST)
    assert len(set(WORD_LIST)) == len(WORD_LIST)
    assert all(len(words_of(split)) >= 20 for split in SPLITS)
    random = np.random.default_rng(0)
    for split in SPLITS:
        sentences = {draw_sentence(random, split) for _ in range(50)}
        assert len(sentences) > 35
        assert {split_of(sentence) for sentence in sentences} == {split}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ClipSpec]]:
    folder = tmp_path_factory.mktemp("corpus")
    specs = [specs_of(WORDS)[0], *(replace(spec, frames=25) for spec in specs_of(WILD)[:2])]
    for spec in specs:
        render(spec, folder)
    return folder, specs


def test_another_process_writes_the_same_bytes(clips: tuple[Path, list[ClipSpec]], tmp_path: Path) -> None:
    folder, specs = clips
    program = (
        "from pathlib import Path\n"
        "from avcat.synth.corpus import ClipSpec, render\n"
        "from avcat.synth.speech import Voice\n"
        f"for spec in reversed({specs!r}):\n"
        f"    render(spec, Path({str(tmp_path)!r}))\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    for spec in specs:
        for ours, theirs in ((f(folder / spec.path), f(tmp_path / spec.path)) for f in (Path, truth_path)):
            assert ours.read_bytes() == theirs.read_bytes(), theirs.name


def test_the_file_is_what_the_spec_says(clips: tuple[Path, list[ClipSpec]]) -> None:
    folder, specs = clips
    for spec in specs:
        info = probe(folder / spec.path)
        assert (info.width, info.height, info.fps, info.codec) == (spec.width, spec.height, 25, "h264")
        assert info.audio_codec == "aac"
        frames = list(decode(folder / spec.path))
        assert len(frames) == spec.frames
        picture = next(take_of(spec).pictures())
        assert np.abs(frames[0].image.astype(int) - picture).mean() < 6
        heard, said = load_audio(folder / spec.path), take_of(spec).speech.samples
        assert abs(len(heard) - spec.frames * 640) <= 1
        count = min(len(heard), len(said))
        lag = np.correlate(heard[:count], said[640 : count - 640]).argmax() - 640
        assert lag == 0


def test_truth_fits_the_frames(clips: tuple[Path, list[ClipSpec]]) -> None:
    folder, specs = clips
    for spec in specs:
        with np.load(truth_path(folder / spec.path)) as truth:
            eyes, mouth = truth["eyes"], truth["mouth"]
            assert eyes.shape == (spec.frames, 2, 2)
            assert mouth.shape == (spec.frames, 20, 2)
            assert eyes.dtype == mouth.dtype == np.float32
            assert (mouth[..., 1].mean(1) > eyes[..., 1].mean(1) + 10).all()
            assert (mouth > 0).all()
            assert (mouth < [spec.width, spec.height]).all()
            gap = np.linalg.norm(mouth[:, 18] - mouth[:, 14], axis=1) / np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1)
            assert np.allclose(gap, truth["opening"], atol=1e-5)
            assert truth["opening"].max() > 0.1
            assert truth["opening"][0] < 0.02  # silence before the first word
            assert truth["phoneme_end_s"][-1] == pytest.approx(spec.frames / 25)
            assert str(truth["text"]) == " ".join(spec.texts)


def test_a_finished_clip_is_kept_and_another_spec_is_drawn_again(tmp_path: Path) -> None:
    spec = replace(specs_of(WORDS)[0], frames=3)
    assert not is_rendered(spec, tmp_path)
    path = render(spec, tmp_path)
    before = path.stat().st_mtime_ns
    assert is_rendered(spec, tmp_path)
    render(spec, tmp_path)
    assert path.stat().st_mtime_ns == before
    assert not is_rendered(replace(spec, crf=33), tmp_path)
    truth_path(path).write_bytes(b"half a file")
    assert not is_rendered(spec, tmp_path)
    render(spec, tmp_path)
    assert is_rendered(spec, tmp_path)
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, truth_path(path).name])
