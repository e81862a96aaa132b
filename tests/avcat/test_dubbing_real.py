"""Dubbing real clips: what the result must keep of picture and sound. Runs if AVCAT_REAL names the folder."""

import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import ALIGN
from painter import Keeper, Painter, dub_with, images_of, painted

from avcat.dubbing import Dubber
from avcat.dubbing.portrait import chosen, portrait
from avcat.dubbing.visible import Looking, visibility
from avcat.face.align import transform_points, warp
from avcat.face.hands import HandFinder
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import find_people
from avcat.inference.redraw import Redrawer
from avcat.media.audio import audio_blocks, audio_duration
from avcat.media.video import decode, probe

REAL = Path(os.environ.get("AVCAT_REAL", ""))
CLIPS = [
    "LipNetGRID_bbaf2n.mpg",
    "video-retalking_face1.mp4",
    pytest.param("LatentSync_demo3.mp4", marks=pytest.mark.slow),  # 1080 x 1920
]

pytestmark = pytest.mark.skipif(not os.environ.get("AVCAT_REAL"), reason="AVCAT_REAL names no folder of real clips")


@pytest.fixture(scope="module")
def detector() -> MediaPipeDetector:
    return MediaPipeDetector()


@pytest.mark.parametrize("name", CLIPS)
def test_dubbed_as_promised(tmp_path: Path, detector: MediaPipeDetector, name: str) -> None:
    video, audio = REAL / "clips" / name, REAL / "audio" / "whisper_jfk.flac"
    out = dub_with(Painter(256, 16), detector, video, audio, tmp_path / "out.mp4")
    _check_times(video, audio, out)
    assert _psnr_outside(video, out, out) >= 38


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("AVCAT_MODEL"), reason="AVCAT_MODEL names no trained model")
@pytest.mark.parametrize("name", CLIPS)
def test_dubbed_as_promised_by_a_trained_model(tmp_path: Path, detector: MediaPipeDetector, name: str) -> None:
    video, audio = REAL / "clips" / name, REAL / "audio" / "whisper_jfk.flac"
    where = dub_with(Painter(256, 16), detector, video, audio, tmp_path / "painted.mp4")
    model = Redrawer.from_checkpoint(os.environ["AVCAT_MODEL"])
    out = tmp_path / "out.mp4"
    summary = Dubber(model, detector).dub(video, audio, out)
    _check_times(video, audio, out)
    outside = _psnr_outside(video, out, where)
    print(f"{name}: {summary.frames} frames, {summary.duration_s:.3f} s, {outside:.1f} dB outside the redrawn region")
    assert outside >= 38


def _check_times(video: Path, audio: Path, out: Path) -> None:
    """Size and frame rate of the picture, length and samples of the sound."""
    given, info = probe(video), probe(out)
    assert (info.width, info.height) == (given.width, given.height)
    assert info.time_base == given.time_base
    assert info.duration_s == pytest.approx(audio_duration(audio), abs=1e-3)
    sounds = [np.concatenate([block for _, block in audio_blocks(path)], axis=1) for path in (out, audio)]
    np.testing.assert_array_equal(*sounds)
    times = [[frame.time_s for frame in decode(path, end_s=11.0)] for path in (out, video)]
    both = min(map(len, times))
    np.testing.assert_allclose(times[0][:both], times[1][:both], atol=1e-4)
    if np.ptp(np.diff(times[1])) < 1e-3:  # an even source stays even where it turns
        assert len(times[0]) == round(11.0 * float(given.fps))


def _psnr_outside(video: Path, out: Path, where: Path) -> float:
    """dB of every tenth frame of `out`, outside of the painted pixels of `where`, the same dub by a painter."""
    errors = []
    for frame, result, paint in zip(decode(video, end_s=11.0), decode(out), decode(where), strict=False):
        if frame.index % 10:
            continue
        ys, xs = np.nonzero(painted(paint.image))
        margin = (ys.max() - ys.min()) // 5  # the soft edge
        far = np.ones(result.image.shape[:2], bool)
        far[max(0, ys.min() - margin) : ys.max() + margin, max(0, xs.min() - margin) : xs.max() + margin] = False
        errors.append(np.square(result.image[far].astype(np.float32) - frame.image[far]).mean())
    return float(10 * np.log10(255**2 / np.mean(errors)))


@pytest.mark.parametrize("name", CLIPS)
def test_the_crop_sits_still_on_the_head(detector: MediaPipeDetector, name: str) -> None:
    """Measured independently of the landmarks: how the upper face shifts from one crop to the next, by its texture."""
    images = {frame.time_s: frame.image for frame in decode(REAL / "clips" / name, end_s=3.0)}
    seen = find_people(iter(images.items()), detector)
    (person,) = chosen(seen, "largest")
    matrices = portrait(person, seen.times_s, ALIGN, 256).matrices
    eyes = np.array([transform_points(m, face.eyes) for m, face in zip(matrices, person.faces, strict=True)])
    assert np.sqrt(np.square(eyes - eyes.mean(axis=0)).sum(axis=-1).mean()) < 1  # px of 256
    crops = [
        cv2.cvtColor(warp(image, m, 256), cv2.COLOR_RGB2GRAY)
        for image, m in zip(images.values(), matrices, strict=True)
    ]
    brows = [crop[50:125, 60:196].astype(np.float32) for crop in crops]
    window = cv2.createHanningWindow(brows[0].shape[::-1], cv2.CV_32F)
    shifts = np.array([cv2.phaseCorrelate(a, b, window)[0] for a, b in pairwise(brows)])
    jitter = np.linalg.norm(np.diff(shifts, axis=0), axis=1)
    assert np.median(jitter) < 0.6  # px of 256
    assert np.percentile(jitter, 95) < 1.6


def _faded(path: Path, end_s: float) -> set[int]:
    """Frames in which some mouth is reported as hidden."""
    images = ((frame.time_s, frame.image) for frame in decode(path, end_s=end_s))
    seen = find_people(images, Looking(MediaPipeDetector(max_faces=2), HandFinder()))
    people = [(person, visibility(person.faces, seen.times_s[person.frames])) for person in chosen(seen, "all")]
    return {t for person, seen_of in people for t, value in zip(person.frames, seen_of, strict=True) if value < 0.5}


def test_a_hand_before_a_mouth_is_seen() -> None:
    """He holds it there as the clip begins, and has taken it down after a second and a half."""
    faded = _faded(REAL / "hard" / "VisualVoice_interview.mp4", 2.0)
    assert faded >= set(range(7))
    assert not faded & set(range(38, 44))


@pytest.mark.slow
def test_no_mouth_of_the_thirteen_clips_is_faded() -> None:
    clips = sorted((REAL / "clips").iterdir())
    assert len(clips) == 13
    assert {clip.name: faded for clip in clips if (faded := _faded(clip, 8.0))} == {}


def test_a_kept_crop_is_hardly_seen(tmp_path: Path, detector: MediaPipeDetector) -> None:
    video = REAL / "clips" / "LipNetGRID_bbaf2n.mpg"
    out = dub_with(Keeper(256), detector, video, REAL / "audio" / "PCAVS_681600002.mp3", tmp_path / "out.mp4")
    error = [np.square(a.astype(float) - b).mean() for a, b in zip(images_of(video), images_of(out), strict=False)]
    assert 10 * np.log10(255**2 / np.mean(error)) > 38


@pytest.mark.parametrize("name", ["Wav2LipHist_test.mov", "MuseTalk_sun.mp4"])
def test_hard_clips_end(tmp_path: Path, detector: MediaPipeDetector, name: str) -> None:
    out = dub_with(Painter(), detector, REAL / "hard" / name, REAL / "audio" / "sda_audio.wav", tmp_path / "out.mp4")
    assert probe(out).duration_s == pytest.approx(3.0, abs=0.04)
