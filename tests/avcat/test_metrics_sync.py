"""Offsets planted into embeddings are found exactly, with the official tool's sign."""

import numpy as np
import pytest

from avcat.metrics.sync import sync_scores


def unit(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("lead", range(-10, 11))
@pytest.mark.parametrize("outside", ["leave_out", "zeros"])
def test_planted_offsets_are_found_exactly(lead: int, outside: str) -> None:
    """The sound that belongs to a frame is played `lead` frames too early: at the place of frame i - lead."""
    face = unit((40, 16))
    audio = unit((40, 16), seed=1)
    for frame in range(40):
        if 0 <= frame - lead < 40:
            audio[frame - lead] = face[frame]
    score = sync_scores(face, audio, max_shift=15, outside=outside)  # type: ignore[arg-type]
    assert score.offset == lead
    assert score.windows == 40
    if outside == "leave_out":
        assert score.distance == pytest.approx(0, abs=1e-6)


def test_distance_and_confidence_by_hand() -> None:
    # One dimension, three windows. Mean |face - audio| at shifts -1, 0, 1: (2, 2), (1, 1, 1), (0, 0).
    face, audio = np.array([[0.0], [1], [2]]), np.array([[-1.0], [0], [1]])
    score = sync_scores(face, audio, max_shift=1)
    assert (score.distance, score.confidence, score.offset) == (0, 1, -1)


def test_zero_padding_by_hand() -> None:
    # Shift 1 now also compares the last window with a zero vector: (0 + 0 + 2) / 3; shift -1: (0 + 2 + 2) / 3.
    face, audio = np.array([[0.0], [1], [2]]), np.array([[-1.0], [0], [1]])
    score = sync_scores(face, audio, max_shift=1, outside="zeros")
    assert score.distance == pytest.approx(2 / 3)
    assert score.confidence == pytest.approx(1 - 2 / 3)
    assert score.offset == -1


def test_zero_padding_inflates_the_confidence_of_short_clips() -> None:
    # Unnormalised random embeddings, as the official network's: zeros lie nearer than other people's sound does.
    face, audio = (np.random.default_rng(seed).normal(size=(24, 64)) for seed in (0, 1))
    zeros, left_out = (sync_scores(face, audio, 15, outside).confidence for outside in ("zeros", "leave_out"))
    assert zeros > 1.5 * left_out


def test_shifts_without_sound_are_left_out() -> None:
    face = unit((4, 8))
    score = sync_scores(face, face, max_shift=15)
    assert score.offset == 0
    assert np.isfinite(score.confidence)
    assert np.isfinite(score.distances).sum() == 7


def test_the_official_tool_compares_with_zeros_even_where_there_is_no_sound_at_all() -> None:
    face = unit((4, 8))
    score = sync_scores(face, face, max_shift=15, outside="zeros")
    assert score.distances[:12] == pytest.approx([1.0] * 12)  # the length of every window's embedding
    assert score.distances[-12:] == pytest.approx([1.0] * 12)
