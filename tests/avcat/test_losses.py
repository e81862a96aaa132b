"""Losses on inputs with known answers."""

import math

import pytest
import torch
from torchvision.models import vgg19

from avcat.errors import InputError
from avcat.losses.gan import discriminator_loss, feature_loss, generator_loss
from avcat.losses.sync import contrastive_loss, cosine_bce_loss, sync_bce_loss, sync_loss
from avcat.losses.vgg import RELU_1_1_TO_5_1, VGGLoss, gram
from avcat.methods.syncnet.model import SyncNet, SyncNetConfig
from avcat.nn.audio import AudioEncoderConfig


def test_gan_loss_is_equation_7() -> None:
    real, fake = torch.tensor([0.3, -1.0]), torch.tensor([0.7, 2.0])
    d = torch.sigmoid
    expected = -(d(real).log().mean() + (1 - d(fake)).log().mean())
    torch.testing.assert_close(discriminator_loss([real], [fake], "log"), expected)
    torch.testing.assert_close(generator_loss([fake], "log"), -d(fake).log().mean())


def test_undecided_discriminator() -> None:
    zero = [torch.zeros(4), torch.zeros(2)]
    assert discriminator_loss(zero, zero, "log").item() == pytest.approx(2 * math.log(2))
    assert discriminator_loss(zero, zero, "hinge").item() == pytest.approx(2)
    assert generator_loss(zero, "log").item() == pytest.approx(math.log(2))
    assert generator_loss(zero, "hinge").item() == 0


def test_contrastive_loss_at_chance_and_when_certain() -> None:
    same = torch.nn.functional.normalize(torch.ones(8, 4), dim=-1)
    assert contrastive_loss(same, same, 0.1).item() == pytest.approx(math.log(8), abs=1e-5)
    assert contrastive_loss(torch.eye(8), torch.eye(8), 0.01).item() == pytest.approx(0, abs=1e-6)


def small_syncnet() -> SyncNet:
    torch.manual_seed(0)
    audio = AudioEncoderConfig(kind="small", width=4, dim=16)
    return SyncNet(SyncNetConfig(image_size=64, audio=audio, face_width=4, dim=16)).eval().requires_grad_(False)


def test_sync_loss_is_one_minus_cosine_and_reaches_the_mouth_alone() -> None:
    expert = small_syncnet()
    frames, mels = torch.rand(2, 5, 3, 64, 64, requires_grad=True), torch.rand(2, 80, 20)
    loss = sync_loss(expert, frames, mels)
    faces, sounds = expert(frames, mels)
    assert loss.item() == pytest.approx(1 - torch.cosine_similarity(faces, sounds).mean().item(), abs=1e-5)
    (gradient,) = torch.autograd.grad(loss, frames)
    assert gradient[..., :32, :].abs().max() == 0
    assert gradient[..., 32:, :].abs().max() > 0


def test_wav2lip_s_sync_loss_is_the_log_of_a_match() -> None:
    expert = small_syncnet()
    frames, mels = torch.rand(3, 5, 3, 64, 64), torch.rand(3, 80, 20)
    faces, sounds = expert(frames, mels)
    match = (1 + torch.cosine_similarity(faces, sounds)) / 2
    assert sync_bce_loss(expert, frames, mels).item() == pytest.approx(-match.log().mean().item(), rel=1e-5)


def test_features_count_but_not_the_logits() -> None:
    real = [[torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 1, 1)], [torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, 1)]]
    fake = [[torch.full((1, 2, 2, 2), 3.0), torch.ones(1, 1, 1, 1)], [torch.ones(1, 2, 1, 1), torch.ones(1, 1, 1, 1)]]
    assert feature_loss(real, fake).item() == pytest.approx((3 + 1) / 2)


def test_gram_matrices_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # two channels of two pixels
    expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4
    torch.testing.assert_close(gram(maps), expected)


def test_style_forgets_places_and_content_does_not() -> None:
    vgg, picture = VGGLoss("random", (1, 0, 0, 0, 0)), torch.rand(1, 3, 16, 16) * 2 - 1
    assert vgg.with_style(picture, picture) == (0, 0)
    content, style = vgg.with_style(picture.flip(-1).flip(-2), picture)
    assert content == vgg(picture.flip(-1).flip(-2), picture) > 0
    assert style < 0.1 * content


def test_embeddings_have_length_one_at_any_crop_size() -> None:
    expert = small_syncnet()
    for size in (64, 128):
        faces = expert.embed_faces(torch.rand(2, 5, 3, size, size))
        torch.testing.assert_close(faces.norm(dim=-1), torch.ones(2))


def test_vgg_loss_is_zero_for_equal_pictures_and_sums_its_layers() -> None:
    a, b = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 3, 32, 32) * 2 - 1
    first = VGGLoss("random", (1, 0, 0, 0, 0))
    assert first(a, a).item() == 0
    both, second = VGGLoss("random", (1, 1, 0, 0, 0)), VGGLoss("random", (0, 1, 0, 0, 0))
    assert both(a, b).item() == pytest.approx(first(a, b).item() + second(a, b).item(), rel=1e-5)
    assert len(first.parts) == 1, "layers that nothing reads are not built"


def test_vgg_first_layer_by_hand() -> None:
    a, b = torch.rand(1, 3, 8, 8) * 2 - 1, torch.rand(1, 3, 8, 8) * 2 - 1
    loss = VGGLoss("random", (1, 0, 0, 0, 0))
    conv = loss.parts[0][0]
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def activations(x: torch.Tensor) -> torch.Tensor:
        return conv(((x + 1) / 2 - mean.view(3, 1, 1)) / spread.view(3, 1, 1)).relu()

    torch.testing.assert_close(loss(a, b), (activations(a) - activations(b)).abs().mean())


def test_vgg_s_five_layers_are_the_first_activations_after_each_halving() -> None:
    names, block, number = {}, 1, 0
    for at, module in enumerate(vgg19(weights=None).features):
        if isinstance(module, torch.nn.MaxPool2d):
            block, number = block + 1, 0
        elif isinstance(module, torch.nn.ReLU):
            number += 1
            names[at] = f"relu{block}_{number}"
    assert [names[at] for at in RELU_1_1_TO_5_1] == [f"relu{block}_1" for block in range(1, 6)]


def test_missing_vgg_weights_name_the_file(tmp_path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        VGGLoss(str(tmp_path / "nowhere.pth"), (1, 1, 1, 1, 1))


def test_cosine_bce_at_chance_is_ln_2_whatever_the_batch() -> None:
    for rows in (2, 7):
        faces = torch.eye(2 * rows)[:rows]
        sounds = torch.eye(2 * rows)[rows:]  # at right angles to every face: a match of 1/2 for all
        assert cosine_bce_loss(faces, sounds).item() == pytest.approx(math.log(2), abs=1e-6)


def test_cosine_bce_of_known_cosines() -> None:
    faces = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    sounds = torch.tensor([[0.6, 0.8], [0.0, 1.0]])  # cosines 0.6, 0 / 0.8, 1
    right = -(math.log(0.8) + math.log(1 - 1e-6)) / 2
    wrong = -(math.log(0.5) + math.log(0.1)) / 2
    assert cosine_bce_loss(faces, sounds).item() == pytest.approx((right + wrong) / 2, rel=1e-5)
