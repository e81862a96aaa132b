"""The official SyncNet's network, crop and protocol: by hand, on made inputs, and against its own figures."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from avcat.errors import InputError
from avcat.media.audio import load_audio
from avcat.media.video import decode
from avcat.metrics import lse
from avcat.metrics.lse import OfficialSyncNet, crop_faces, face_tracks, load_official, score_clip, score_faces

WEIGHTS = os.environ.get("AVCAT_SYNCNET", "")
EXAMPLE = Path(os.environ.get("AVCAT_REAL", "/nonexistent")) / "clips" / "SyncnetFCN_example.avi"
FRAME = lse.SAMPLES_PER_FRAME


@pytest.fixture(scope="module")
def network() -> OfficialSyncNet:
    torch.manual_seed(0)
    return OfficialSyncNet().eval().requires_grad_(False)


class Hearing(torch.nn.Module):
    """Replaces the network: a window's embedding is the loudness of its middle frame, as seen and as heard."""

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))

    def embed_faces(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.mean((0, 2, 3))[2:-2, None] / 10 - 12.5  # about 0 on average, as zeros outside are

    def embed_audio(self, cepstra: torch.Tensor) -> torch.Tensor:
        # Rows 8 to 11 begin in the third frame of five. Noise of level 15 has an energy of e^23.54.
        return cepstra[:, 0, 0, 8:12].mean(1, keepdim=True) - 12.5 - 8.54


def loudness(frames: int) -> np.ndarray:
    """A natural logarithm of energy for each frame, never twice alike."""
    return 10 + 5 * np.random.default_rng(0).random(frames)


def sound(levels: np.ndarray) -> np.ndarray:
    """Noise of these levels, one frame each."""
    noise = np.random.default_rng(1).normal(size=len(levels) * FRAME)
    return 0.2 * noise * np.repeat(np.exp((levels - 15) / 2), FRAME)


def faces(levels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.rint(levels * 10).astype(np.uint8)[:, None, None, None], (len(levels), 8, 8, 3))


@pytest.mark.parametrize("lead", [-12, -3, 0, 1, 7, 15])
def test_sound_that_leads_by_k_frames_is_found_exactly(lead: int) -> None:
    levels = loudness(140)
    seen, heard = faces(levels[40:100]), sound(levels[40 + lead : 100 + lead])
    score = score_faces(Hearing(), seen, heard)  # type: ignore[arg-type]
    assert score is not None
    assert score.offset == lead
    assert score.windows == 55


def test_windows_are_counted_as_the_tool_does(network: OfficialSyncNet) -> None:
    def windows(frames: int, samples: int) -> int | None:
        score = score_faces(Hearing(), faces(loudness(frames)), sound(loudness(frames))[:samples])  # type: ignore[arg-type]
        return score and score.windows

    assert windows(30, 30 * FRAME) == 25
    assert windows(30, 28 * FRAME + 639) == 23
    assert windows(6, 6 * FRAME) == 1
    assert windows(5, 5 * FRAME) is None


def test_a_row_of_frames_gives_what_its_windows_give(network: OfficialSyncNet) -> None:
    frames = torch.from_numpy(np.random.default_rng(0).random((3, 7, 224, 224), np.float32) * 255)
    together = network.embed_faces(frames)
    assert together.shape == (3, 1024)
    for start in range(3):
        torch.testing.assert_close(network.embed_faces(frames[:, start : start + 5])[0], together[start])
    assert network.embed_audio(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)


def test_sizes_of_the_published_network(network: OfficialSyncNet) -> None:
    """13.6 M weights of 4 bytes make the published file's 54.57 MB."""
    count = sum(value.numel() for value in network.state_dict().values())
    assert 54_400_000 < 4 * count < 54_573_114


def test_random_weights_run_through(network: OfficialSyncNet) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (9, 256, 256, 3), dtype=np.uint8)
    boxes = np.tile(np.array([50.0, 20, 200, 210]), (9, 1))
    boxes[4] = np.nan
    score = score_clip(network, pictures, boxes, rng.normal(0, 0.1, 9 * FRAME))
    assert score is not None
    assert score.windows == 4
    assert score.distance > 0
    assert score_clip(network, pictures, np.full((9, 4), np.nan), np.zeros(9 * FRAME)) is None


def box(x: float, y: float = 0, side: float = 120) -> np.ndarray:
    return np.array([x, y, x + side, y + side])


def test_a_face_is_followed_and_interpolated() -> None:
    """It moves one pixel per frame and is missed in 10 of 120; another person is there all the time, further right."""
    shot = [[box(t), box(400)] if not 50 <= t < 60 else [box(400)] for t in range(120)]
    mine, other = face_tracks(shot)
    assert (mine.first, other.first) == (0, 0)
    np.testing.assert_allclose(mine.boxes, [box(t) for t in range(120)])
    np.testing.assert_allclose(other.boxes, [box(400)] * 120)


def test_when_a_face_is_another_one() -> None:
    gone = [[box(0)]] * 110 + [[]] * 25 + [[box(0)]] * 110  # 26 frames later
    assert [(track.first, len(track.boxes)) for track in face_tracks(gone)] == [(0, 110), (135, 110)]
    assert len(face_tracks(gone[:110] + gone[111:])) == 1
    jump = [[box(0)]] * 110 + [[box(41)]] * 110  # of 120 px 79 are common: 0.49 of the union
    assert [track.first for track in face_tracks(jump)] == [0, 110]
    assert len(face_tracks([[box(0)]] * 110 + [[box(39)]] * 110)) == 1


def test_short_and_small_faces_are_left_out() -> None:
    assert [len(face_tracks([[box(0)]] * n)) for n in (100, 101)] == [0, 1]
    assert [len(face_tracks([[box(0, side=side)]] * 120)) for side in (100, 101)] == [0, 1]


def test_where_the_crop_lies() -> None:
    """A box of side 100 at (100, 60): half 50, centre (150, 110), so rows 60 to 200 and columns 80 to 220, of 140."""
    rows, columns = np.mgrid[:300, :300]
    picture = np.stack([rows // 2, columns // 2, 0 * rows], axis=2).astype(np.uint8)
    crops = crop_faces(np.stack([picture] * 15), np.tile(np.array([100.0, 60, 200, 160]), (15, 1)))
    assert crops.shape == (15, 224, 224, 3)
    assert crops[7, 0, 100, 0] == 30
    assert crops[7, -1, 100, 0] == 99
    assert (crops[7, 100, 0, 1], crops[7, 100, -1, 1]) == (40, 109)


def test_grey_outside_the_picture_and_the_median_over_13_frames() -> None:
    pictures = np.full((15, 100, 100, 3), 200, np.uint8)
    boxes = np.tile(np.array([0.0, 0, 100, 100]), (15, 1))
    boxes[7] = [500, 500, 900, 900]  # one wild box changes nothing
    crops = crop_faces(pictures, boxes)
    np.testing.assert_array_equal(crops[7], crops[6])
    assert crops[7, 50, 5].tolist() == [110] * 3  # 20 px at the left and right, 40 below
    assert crops[7, -5, 112].tolist() == [110] * 3
    assert crops[7, 50, 112].tolist() == [200] * 3


def test_weights_are_checked(network: OfficialSyncNet, tmp_path: Path) -> None:
    path = tmp_path / "w.model"
    old = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    torch.save(old, path)  # as old as the published file: batch norms did not count yet
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = load_official(path, sha256=digest)
    torch.testing.assert_close(loaded.netfclip[0].weight, network.netfclip[0].weight)
    with pytest.raises(InputError, match="its sha256 is"):
        load_official(path)
    old.pop("netfcaud.0.bias")
    torch.save(old, path)
    with pytest.raises(InputError, match=r"not the weights of the official SyncNet \(netfcaud\.0\.bias\)"):
        load_official(path, sha256="")
    with pytest.raises(InputError, match="cannot be read"):
        load_official(tmp_path / "none.model")


@pytest.mark.skipif(not WEIGHTS, reason="AVCAT_SYNCNET names no syncnet_v2.model")
@pytest.mark.skipif(not EXAMPLE.exists(), reason="AVCAT_REAL names no folder with clips/SyncnetFCN_example.avi")
def test_the_example_scores_what_its_authors_publish() -> None:
    """joonson/syncnet_python: offset 3, minimum distance 5.353, confidence 10.021, on the frames as they are."""
    frames = np.stack([frame.image for frame in decode(EXAMPLE)])
    score = score_faces(load_official(WEIGHTS), frames, load_audio(EXAMPLE, 16_000))
    assert score is not None
    assert score.offset == 3
    assert score.distance == pytest.approx(5.353, abs=0.05)  # theirs went through JPEG
    assert score.confidence == pytest.approx(10.021, abs=0.1)
