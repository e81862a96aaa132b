"""Of two people beside each other, the one with the mouth that matches the sound is chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from drawn import talking, tone, write_video
from painter import Painter, painted

from avcat.dubbing import Dubber, DubSettings
from avcat.errors import InputError
from avcat.face.align import eye_targets
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import Sightings, find_people
from avcat.media.video import decode_at
from avcat.media.writer import VideoWriter
from avcat.metrics.agreement import Agreement
from avcat.synth.corpus import CorpusConfig, SpeakersConfig, plan, take_of
from avcat.synth.speech import SAMPLE_RATE
from pipelines.tracks import speaker_syncnet
from stages._params import load

CROP = 64
INPUTS = load("test").inputs


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Sightings]:
    """Two videos of the same two people; in the first the left one is heard, in the second the right one."""
    two = SpeakersConfig(train=2, val=0, test=0, clips_per_speaker=1)
    no_one = SpeakersConfig(train=0, val=0, test=0, clips_per_speaker=1)
    takes = [take_of(spec) for spec in plan(CorpusConfig(3, 256, two, no_one, (3.0, 3.0)))]
    pictures = [np.hstack(pair) for pair in zip(*(take.pictures() for take in takes), strict=False)]
    height, width = pictures[0].shape[:2]
    samples = len(pictures) * SAMPLE_RATE // 25
    videos = []
    for name, take in zip(("left", "right"), takes, strict=True):
        path = tmp_path_factory.mktemp("two") / f"{name}.mp4"
        with VideoWriter(path, width, height, audio=(take.speech.samples[:samples], SAMPLE_RATE)) as video:
            for picture in pictures:
                video.write(picture)
        videos.append(path)
    timed = ((index / 25, image) for index, _, image in decode_at(videos[0]))
    return videos, find_people(timed, MediaPipeDetector(max_faces=2))


def loud_when_open(crops: np.ndarray, mel: np.ndarray) -> float:
    """A judge of rendered people: their mouths are dark inside where the sound is loud."""
    assert mel.shape == (80, 4 * len(crops))
    inside = crops[:, 38:48, 26:38].mean((1, 2, 3))
    loud = mel.mean(0).reshape(-1, 4).mean(1)
    return float(-np.corrcoef(inside, loud)[0, 1])


def test_who_is_heard_is_chosen(both: tuple[list[Path], Sightings]) -> None:
    videos, seen = both
    assert len(seen.people) == 2
    people = sorted(seen.people, key=lambda person: person.faces[0].box[0])
    choose = Agreement(loud_when_open, INPUTS, CROP)
    assert choose(videos[0], 0.0, None, seen, people) is people[0]
    assert choose(videos[1], 0.0, None, seen, people) is people[1]
    assert choose(videos[1], 0.0, None, seen, people[::-1]) is people[1]


def test_the_judge_sees_aligned_crops_from_a_persons_first_frame_on(both: tuple[list[Path], Sightings]) -> None:
    videos, seen = both
    late = seen.people[0]
    late.frames, late.faces = late.frames[10:], late.faces[10:]
    crops: list[np.ndarray] = []

    def judge(pictures: np.ndarray, mel: np.ndarray) -> float:
        crops.append(pictures)
        return 0.0

    assert Agreement(judge, INPUTS, 256)(videos[0], 0.0, None, seen, seen.people) is late  # the first of equals
    assert [len(each) for each in crops] == [len(seen.times_s) - 10, len(seen.times_s)]
    for pictures in crops:
        found = next(iter(MediaPipeDetector().follow(pictures[:1])))[0]
        assert np.abs(found.eyes - eye_targets(INPUTS.align, 256)).max() < 6


def test_agreement_needs_a_syncnet(tmp_path: Path) -> None:
    data = load("test").data
    with pytest.raises(InputError, match=r"data\.speaker_syncnet: to choose speakers by agreement"):
        speaker_syncnet(replace(data, speaker="agreement"))
    with pytest.raises(InputError, match=r"nothing\.pt: no such file"):
        speaker_syncnet(replace(data, speaker="agreement", speaker_syncnet=str(tmp_path / "nothing.pt")))
    assert speaker_syncnet(data) is None


@pytest.mark.parametrize("who", [0, 1], ids=["left", "right"])
def test_dubbing_redraws_the_one_that_speaks(
    both: tuple[list[Path], Sightings], who: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_mouths(_: Path, __: str) -> Agreement:
        return Agreement(loud_when_open, INPUTS, CROP)

    monkeypatch.setattr(Agreement, "of_syncnet", by_mouths)
    soundfile.write(tmp_path / "a.wav", tone(2.0), 16_000)
    video = both[0][who]
    dubber = Dubber(Painter(), MediaPipeDetector(max_faces=2))
    settings = DubSettings(faces="speaker", syncnet=tmp_path / "syncnet.pt")
    for frame in list(dubber.frames(video, tmp_path / "a.wav", settings))[5:45]:
        left, right = np.split(painted(frame.image), 2, axis=1)
        assert (left.any(), right.any()) == (who == 0, who == 1)
    silent = write_video(tmp_path / "silent.mp4", talking(5))
    with pytest.raises(InputError, match="has no sound of its own, by which to tell who speaks"):
        dubber.dub(silent, tmp_path / "a.wav", tmp_path / "o.mp4", settings)
