"""The mark in redrawn mouths: found where it is, with the promised strength, and nowhere else."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from drawn import ALIGN, face_picture, numbered, talking, tone, write_video
from painter import Painter, dub_with, images_of

from avcat.apps.cli import main
from avcat.dubbing import watermark
from avcat.dubbing.paste import paste
from avcat.dubbing.region import soft_redraw_mask
from avcat.dubbing.watermark import FALSE_ALARM, find, mark, verify
from avcat.face.align import alignment, eye_targets, warp
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.mask import keep_mask
from avcat.synth.corpus import CorpusConfig, SpeakersConfig, plan, take_of

FRAMES, SIDE, CROP = 75, 400, 256
PSNR_DB = 42.0


@dataclass(frozen=True)
class Clip:
    """A rendered person, with the truth."""

    images: list[np.ndarray]
    eyes: np.ndarray
    times_s: np.ndarray


@pytest.fixture(scope="module")
def clip() -> Clip:
    one, no_one = (SpeakersConfig(train=n, val=0, test=0, clips_per_speaker=1) for n in (1, 0))
    (spec,) = plan(CorpusConfig(3, 256, no_one, one, (3.0, 3.0)))
    take = take_of(replace(spec, width=SIDE, height=SIDE, frames=FRAMES))
    return Clip(list(take.pictures()), take.truth()["eyes"], np.arange(FRAMES) / 25)


@pytest.fixture(scope="module")
def marked(clip: Clip) -> list[np.ndarray]:
    return put_back(clip, with_mark=True)


def put_back(clip: Clip, *, with_mark: bool) -> list[np.ndarray]:
    """Crops cut and pasted as dubbing does it, as they were."""
    out, alpha, eyes = [], soft_redraw_mask(CROP), eye_targets(ALIGN, CROP)
    for image, time_s, matrix in zip(
        clip.images, clip.times_s, alignment(clip.eyes, clip.times_s, ALIGN, CROP), strict=True
    ):
        crop = warp(image, matrix, CROP)
        copy = image.copy()
        paste(copy, mark(crop, alpha, float(time_s), eyes) if with_mark else crop, matrix, alpha)
        out.append(copy)
    return out


def attacked(images: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """A twentieth cut off at each side, half the size, CRF 28."""
    edge = SIDE // 20
    half = (SIDE - 2 * edge) // 2
    small = (cv2.resize(i[edge:-edge, edge:-edge], (half, half), interpolation=cv2.INTER_AREA) for i in images)
    return images_of(write_video(folder / "attacked.mp4", small, crf=28, preset="medium"))


def test_found_after_crop_rescale_and_crf_28_at_whatever_moment_it_begins(
    clip: Clip, marked: list[np.ndarray], tmp_path: Path
) -> None:
    eyes = (clip.eyes - SIDE // 20 + 0.5) / 2 - 0.5
    for later_s in (0.0, 1.0):
        verdict = find(iter(attacked(marked, tmp_path)), eyes, clip.times_s + later_s)
        assert verdict.marked
        assert verdict.at_s == (later_s, pytest.approx(later_s + (FRAMES - 1) / 25))
    plain = find(iter(attacked(put_back(clip, with_mark=False), tmp_path)), eyes, clip.times_s)
    assert plain.false_alarm > 1e-3


def test_the_mark_is_as_weak_as_promised_and_lies_in_what_is_pasted(clip: Clip) -> None:
    alpha, region = soft_redraw_mask(CROP), keep_mask(CROP) == 0
    crop = np.full((CROP, CROP, 3), 128, np.uint8)
    eyes = eye_targets(ALIGN, CROP)
    moments = [mark(crop, alpha, n * watermark.CHIP_S, eyes).astype(float) - crop for n in range(watermark.CHIPS)]
    pasted = np.array([change * alpha[:, :, None] for change in moments])
    assert PSNR_DB <= 10 * np.log10(255**2 / np.square(pasted[:, region]).mean()) <= PSNR_DB + 4
    assert np.abs(moments).max() <= 8
    assert abs(np.mean(moments)) < 0.3  # signs are as often plus as minus
    np.testing.assert_array_equal(moments[0], mark(crop, alpha, watermark.CHIPS * watermark.CHIP_S, eyes) - 128.0)


def test_other_signs_are_no_mark_and_chance_is_what_it_says(clip: Clip, marked: list[np.ndarray]) -> None:
    """For other signs than those in it a clip is unmarked: of 300 sets, no more than a share p has a chance below p."""
    matrices = alignment(clip.eyes, clip.times_s, watermark._ALIGN, watermark.COLUMNS * watermark._FINE)
    cells = np.array([warp(i, m, 32)[:20] @ watermark._GREY for i, m in zip(marked, matrices, strict=True)])
    folded = watermark._folded(cells, clip.times_s)
    own = watermark._highest(folded)
    random, others = np.random.default_rng(0), []
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(300):
            patch.setattr(watermark, "_SIGNS", random.choice([-1.0, 1.0], watermark._SIGNS.shape))
            others.append(watermark._highest(folded))
    sums = watermark._STEPS * watermark.CHIPS
    chances = np.array([sums * watermark._RADEMACHER * watermark.ndtr(-z) for z in [own, *others]])
    assert chances[0] < FALSE_ALARM
    for p in (0.02, 0.1, 0.3):
        assert (chances[1:] < p).mean() <= p + 2 * np.sqrt(p / 300)
    assert chances[1:].min() > 1e-5


def test_dubbed_files_are_marked_and_others_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "talk.mp4", talking(FRAMES))
    soundfile.write(tmp_path / "a.wav", tone(3.0), 16_000)
    out = dub_with(Painter(128), MediaPipeDetector(), video, tmp_path / "a.wav", tmp_path / "out.mp4")
    verdict = verify(out, MediaPipeDetector())
    assert (verdict.marked, verdict.faces) == (True, 1)
    assert main(["verify", str(out)]) == 0
    assert "out.mp4: marked" in capsys.readouterr().out
    assert main(["verify", str(video)]) == 1
    assert "talk.mp4: no mark found (1 face looked at" in capsys.readouterr().out


def test_found_where_pixels_are_not_square(tmp_path: Path) -> None:
    narrow = (cv2.resize(image, (240, 320), interpolation=cv2.INTER_AREA) for image in talking(FRAMES))
    video = write_video(tmp_path / "talk.mp4", narrow, pixel_aspect=Fraction(4, 3))
    soundfile.write(tmp_path / "a.wav", tone(3.0), 16_000)
    out = dub_with(Painter(128), MediaPipeDetector(), video, tmp_path / "a.wav", tmp_path / "out.mp4")
    assert verify(out, MediaPipeDetector()).marked
    assert not verify(video, MediaPipeDetector()).marked


def short() -> Iterator[np.ndarray]:
    yield from [face_picture()] * 10


@pytest.mark.parametrize(
    ("images", "reason"), [(short, "nothing to verify"), (lambda: numbered(30), "nothing to verify"), (None, "no such")]
)
def test_what_cannot_be_verified_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: object, reason: str
) -> None:
    path = tmp_path / "v.mp4"
    if callable(images):
        write_video(path, images())
    assert main(["verify", "-q", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err
    assert said.err.count("\n") == 1
