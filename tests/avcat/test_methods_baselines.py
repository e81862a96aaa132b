"""The paper's peers: their published sizes, and what each may and may not see."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_training import MAKEITTALK, PC_AVS, SIZE, WAV2LIP_RN, bar_points

from avcat.errors import InputError
from avcat.face.mask import keep_mask
from avcat.methods.makeittalk.model import MakeItTalk, draw_landmarks
from avcat.methods.makeittalk.task import shape_loss
from avcat.methods.pc_avs.model import PCAVS
from avcat.methods.wav2lip.model import QualityDiscriminator, Wav2Lip, Wav2LipConfig
from avcat.methods.wav2lip_rn.model import Wav2LipRN

PUBLISHED_WAV2LIP = 36.3e6  # weights


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def pictures(count: int, size: int = SIZE) -> torch.Tensor:
    return torch.rand(count, 3, size, size) * 2 - 1


def test_wav2lip_has_the_published_size() -> None:
    network = Wav2Lip(Wav2LipConfig(image_size=96, width=16))
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert weights == pytest.approx(PUBLISHED_WAV2LIP, rel=0.03), "the sound has 20 columns here instead of 16"


@pytest.mark.parametrize("size", [32, 96])
def test_wav2lip_never_reads_the_lower_half_and_draws_the_whole_crop(size: int) -> None:
    network = Wav2Lip(Wav2LipConfig(image_size=size, width=2)).eval()
    frames, mels = pictures(4, size), torch.rand(4, 80, 20)
    reference = network.encode_reference(pictures(2, size))
    drawn = network(frames, reference, mels).prediction
    assert drawn.shape == frames.shape
    assert network.redrawn_region(size).all()
    torch.testing.assert_close(network.composite(frames, drawn), drawn)
    changed = frames.clone()
    changed[:, :, size // 2 :] = 1
    torch.testing.assert_close(network(changed, reference, mels).prediction, drawn)
    changed[:, :, 0] = 1
    assert not torch.allclose(network(changed, reference, mels).prediction, drawn)


def test_a_picture_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(InputError, match="a picture of 100 px cannot be halved"):
        Wav2Lip(Wav2LipConfig(image_size=100, width=4))
    with pytest.raises(InputError, match="a picture of 100 px cannot be halved"):
        PCAVS(replace(PC_AVS.model, image_size=100))


def test_the_quality_discriminator_looks_at_the_lower_half() -> None:
    network, faces = QualityDiscriminator(image_size=SIZE, width=4), pictures(2)
    (logits,) = network(faces)
    assert logits.shape == (2, 1, 1, 1)
    faces[:, :, : SIZE // 2] = 0
    torch.testing.assert_close(network(faces)[0], logits)


def test_wav2lip_in_the_backbone_s_place() -> None:
    network = Wav2LipRN(WAV2LIP_RN.model).eval()
    frames, mels = pictures(3), torch.rand(3, 80, 20)
    redrawn = network(frames, network.encode_reference(pictures(1)), mels)
    assert network.has_two_steps
    assert redrawn.intermediate is not None
    assert not torch.equal(redrawn.prediction, redrawn.intermediate)
    hidden = frames * torch.from_numpy(keep_mask(SIZE))
    torch.testing.assert_close(
        network(hidden, network.encode_reference(frames[:1]), mels).intermediate,
        network(frames, network.encode_reference(frames[:1]), mels).intermediate,
    )
    with pytest.raises(InputError, match="but Wav2Lip takes mels of 80 bands"):
        Wav2LipRN(replace(WAV2LIP_RN.model, audio=replace(WAV2LIP_RN.model.audio, bands=40)))


def test_pc_avs_sees_the_frame_through_its_pose_alone() -> None:
    network = PCAVS(PC_AVS.model).eval()
    frames, mels = pictures(4), torch.rand(4, 80, 20)
    reference = network.encode_reference(pictures(2))
    drawn = network(frames, reference, mels).prediction
    assert drawn.shape == frames.shape
    other = network(pictures(4), reference, mels).prediction
    assert not torch.allclose(other, drawn)
    torch.nn.init.zeros_(network.pose_code.weight)
    without = [network(f, reference, mels).prediction for f in (frames, pictures(4))]
    torch.testing.assert_close(*without)
    assert not torch.allclose(network(frames, reference, torch.rand(4, 80, 20)).prediction, without[0])


def test_the_pose_of_the_paper_has_twelve_numbers() -> None:
    assert PCAVS(replace(PC_AVS.model, pose_dim=12)).pose_code.out_features == 12


def test_makeittalk_s_landmarks_start_at_rest_and_hear_what_comes() -> None:
    network = MakeItTalk(MAKEITTALK.model).eval()
    mels, rest = torch.rand(2, 18, 80, 20), torch.rand(2, 22, 2)
    moved = network.landmarks(mels, rest)
    assert moved.shape == (2, 18, 22, 2)
    assert (moved - rest[:, None]).abs().max() < 0.05
    louder = mels.clone()
    louder[:, 9] = 1
    assert not torch.allclose(network.landmarks(louder, rest)[:, 9], moved[:, 9])


def test_landmarks_are_drawn_where_they_are() -> None:
    """A mouth as wide as half of the picture, its outer edge at 0.25 and 0.75, the eyes above it."""
    mouth = bar_points(np.ones(1))[0]
    mouth = (mouth - mouth.min(0)) / (mouth.max(0) - mouth.min(0)) * [0.5, 0.25] + [0.25, 0.6]
    points = np.concatenate([mouth, [[0.3, 0.3], [0.7, 0.3]]])[None].astype(np.float32)
    picture = draw_landmarks(points, 128)[0]
    lips, eyes = (picture[..., i] > 200 for i in (0, 2))
    rows, columns = np.nonzero(lips)
    assert (columns.min(), columns.max()) == pytest.approx((0.25 * 128, 0.75 * 128), abs=2.5)
    assert (rows.min(), rows.max()) == pytest.approx((0.6 * 128, 0.85 * 128), abs=2.5)
    centres = [np.argwhere(half).mean(0) for half in (eyes[:64, :64], eyes[:64, 64:])]
    np.testing.assert_allclose(centres, [[38, 38], [38, 25]], atol=1)


def test_shape_does_not_mind_a_mouth_that_moved_as_a_whole() -> None:
    truth = torch.rand(1, 3, 22, 2)
    assert shape_loss(truth + 0.1, truth).item() == pytest.approx(0, abs=1e-6)
    moved = truth.clone()
    moved[0, 0, 3] += 0.12  # x and y of one of 12 outer points in one of three frames; two neighbours see half of it
    assert shape_loss(moved, truth).item() == pytest.approx((0.12 + 2 * 0.06) * 2 / (12 * 2 * 3), rel=1e-4)


def test_makeittalk_s_picture_is_the_portrait_at_first() -> None:
    network, portraits = MakeItTalk(MAKEITTALK.model).eval(), pictures(2)
    torch.nn.init.zeros_(network.portrait.rgb.weight)
    torch.testing.assert_close(network.portrait(portraits, pictures(2)), portraits)
