"""Dubbing real clips: what the result must keep of picture and sound. Runs where AVCAT_REAL names the folder."""

import os
from pathlib import Path

import numpy as np
import pytest
from painter import Keeper, Painter, dub_with, images_of, painted

from avcat.face.align import alignment, transform_points
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.track import track_faces
from avcat.media.audio import audio_blocks, audio_duration
from avcat.media.video import decode, probe

REAL = Path(os.environ.get("AVCAT_REAL", ""))
CLIPS = ["LipNetGRID_bbaf2n.mpg", "LatentSync_demo3.mp4", "video-retalking_face1.mp4"]

pytestmark = [
    pytest.mark.skipif(not os.environ.get("AVCAT_REAL"), reason="AVCAT_REAL names no folder of real clips"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def detector() -> MediaPipeDetector:
    return MediaPipeDetector()


@pytest.mark.parametrize("name", CLIPS)
def test_dubbed_as_promised(tmp_path: Path, detector: MediaPipeDetector, name: str) -> None:
    video, audio = REAL / "clips" / name, REAL / "audio" / "whisper_jfk.flac"
    out = dub_with(Painter(256, 16), detector, video, audio, tmp_path / "out.mp4")
    given, info = probe(video), probe(out)
    assert (info.width, info.height) == (given.width, given.height)
    assert info.time_base == given.time_base
    assert info.duration_s == pytest.approx(audio_duration(audio), abs=1e-3)
    sounds = [np.concatenate([block for _, block in audio_blocks(path)], axis=1) for path in (out, audio)]
    np.testing.assert_array_equal(*sounds)
    times = [[frame.time_s for frame in decode(path, end_s=11.0)] for path in (out, video)]
    both = min(map(len, times))
    np.testing.assert_allclose(times[0][:both], times[1][:both], atol=1e-4)
    _check_pictures(video, out)


def _check_pictures(video: Path, out: Path) -> None:
    """PSNR outside the paint, and how the paint moves against the head."""
    errors, pixels = 0.0, 0
    for frame, result in zip(decode(video, end_s=11.0), decode(out), strict=False):
        paint = painted(result.image)
        ys, xs = np.nonzero(paint)
        margin = (ys.max() - ys.min()) // 5
        far = np.ones_like(paint)
        far[max(0, ys.min() - margin) : ys.max() + margin, max(0, xs.min() - margin) : xs.max() + margin] = False
        errors += float(np.square(result.image[far].astype(np.float32) - frame.image[far]).sum())
        pixels += 3 * int(far.sum())
    assert 10 * np.log10(255**2 * pixels / errors) >= 38


@pytest.mark.parametrize("name", CLIPS)
def test_the_crop_sits_still_on_the_head(detector: MediaPipeDetector, name: str) -> None:
    """Eyes in the crop: they move less from frame to frame than detection itself jitters in the source."""
    timed = ((frame.time_s, frame.image) for frame in decode(REAL / "clips" / name, end_s=6.0))
    track = track_faces(timed, detector)
    painter = Painter()
    matrices = alignment(track.eyes, track.times_s, painter.align, 256)
    eyes = np.array([transform_points(matrix, pair) for matrix, pair in zip(matrices, track.eyes, strict=True)])
    assert np.sqrt(np.square(eyes - eyes.mean(axis=0)).sum(axis=-1).mean()) < 3  # px of 256
    corner = np.array([[0.0, 255.0]])
    corners = np.array([np.linalg.solve(m[:, :2], corner[0] - m[:, 2]) for m in matrices])
    shake = np.linalg.norm(np.diff(corners, 2, axis=0), axis=1) * np.hypot(matrices[1:-1, 0, 0], matrices[1:-1, 1, 0])
    assert np.percentile(shake, 95) < 1.5  # px of 256, of acceleration from frame to frame


def test_a_kept_crop_is_hardly_seen(tmp_path: Path, detector: MediaPipeDetector) -> None:
    video = REAL / "clips" / "LipNetGRID_bbaf2n.mpg"
    out = dub_with(Keeper(256), detector, video, REAL / "audio" / "PCAVS_681600002.mp3", tmp_path / "out.mp4")
    error = [np.square(a.astype(float) - b).mean() for a, b in zip(images_of(video), images_of(out), strict=False)]
    assert 10 * np.log10(255**2 / np.mean(error)) > 38


@pytest.mark.parametrize("name", ["Wav2LipHist_test.mov", "MuseTalk_sun.mp4"])
def test_hard_clips_end(tmp_path: Path, detector: MediaPipeDetector, name: str) -> None:
    out = dub_with(Painter(), detector, REAL / "hard" / name, REAL / "audio" / "sda_audio.wav", tmp_path / "out.mp4")
    assert probe(out).duration_s == pytest.approx(3.0, abs=0.04)
