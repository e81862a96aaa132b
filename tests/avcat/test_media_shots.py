"""Cuts between pictures that have nothing in common; none if something only moves."""

from pathlib import Path

import numpy as np
from drawn import face_picture, write_video

from avcat.media.shots import CutFinder, find_cuts


def shots() -> list[np.ndarray]:
    """Three shots of 10, 6 and 8 frames; a face that moves, another background, a face again."""
    moving = [face_picture(320, 240, centre=(130 + 4 * t, 120)) for t in range(10)]
    other = [np.full((240, 320, 3), (20, 90, 40 + t), np.uint8) for t in range(6)]
    return [*moving, *other, *moving[:8]]


def test_each_new_shot_is_told_at_its_first_picture() -> None:
    is_cut = CutFinder(27.0)
    assert [t for t, image in enumerate(shots()) if is_cut(image)] == [10, 16]


def test_cuts_of_a_file_are_times(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", iter(shots()))
    np.testing.assert_allclose(find_cuts(tmp_path / "a.mp4", 27.0), [10 / 25, 16 / 25], atol=1e-6)
