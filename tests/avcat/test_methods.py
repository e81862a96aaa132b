"""The networks: the paper's sizes, what shares weights, what depends on what."""

import dataclasses
from typing import Any

import pytest
import torch

from avcat.errors import InputError
from avcat.methods.avcat.backbone import BackboneConfig, map_sides
from avcat.methods.avcat.model import AVCAT, ModelConfig
from avcat.methods.avcat.refinement import Refinement, RefinementConfig
from avcat.nn.attention import Windows
from avcat.nn.audio import AudioEncoderConfig
from avcat.nn.blocks import Block
from avcat.nn.convs import ModulatedConv2d
from avcat.nn.discriminator import Discriminator, DiscriminatorConfig

BACKBONE = BackboneConfig(
    dim=16,
    heads=2,
    depths=(1, 2, 1, 1, 2),
    windows=(8, 16, 16, 16, 8),
    mlp_ratio=2.0,
    encoder_stride=2,
    stage_strides=(2, 2, 2, -2, -2),
    audio_stages=(3, 4, 5),
    skips=False,
    position_bias=False,
)
SMALL = ModelConfig(
    image_size=64,
    audio=AudioEncoderConfig(kind="small", width=4, dim=24),
    backbone=BACKBONE,
    refinement=RefinementConfig(width=8, depth=2, max_width=16, reference=False),
)
SEEING = RefinementConfig(width=8, depth=2, max_width=16, reference=True)


@pytest.fixture
def small() -> AVCAT:
    torch.manual_seed(0)
    return AVCAT(SMALL).eval()


def inputs(n: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return (
        torch.rand(n, 3, 64, 64, generator=random) * 2 - 1,
        torch.rand(1, 3, 64, 64, generator=random) * 2 - 1,
        torch.rand(n, 80, 20, generator=random),
    )


def test_the_paper_s_maps() -> None:
    paper = dataclasses.replace(BACKBONE, dim=180, heads=6, depths=(2, 3, 4, 3, 2))
    assert map_sides(paper, 256) == (64, 32, 16, 32, 64)
    other_reading = dataclasses.replace(paper, encoder_stride=4, stage_strides=(1, 2, 2, -2, -2))
    assert map_sides(other_reading, 256) == (64, 32, 16, 32, 64)


def test_each_stage_makes_the_map_it_is_built_for(small: AVCAT) -> None:
    seen: list[tuple[int, ...]] = []
    assert small.backbone is not None
    for stage in small.backbone.stages:
        stage.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape[1:])))
    frames, reference, mels = inputs(1)
    redrawn = small(frames, small.encode_reference(reference), mels)
    assert seen == [(16, side, side) for side in map_sides(BACKBONE, 64)]
    assert redrawn.prediction.shape == redrawn.intermediate.shape == frames.shape


def test_the_reference_branch_has_no_weights_of_its_own(small: AVCAT) -> None:
    """Section 3.2: "without involving extra parameters": what it uses, the main branch uses too."""
    frames, reference, mels = inputs(1)
    assert small.backbone is not None
    features = small.backbone.encode_reference(reference)
    names = dict(small.backbone.named_parameters())
    used = torch.autograd.grad(
        sum(t.sum() for stage in features for context in stage for t in context),
        list(names.values()),
        allow_unused=True,
    )
    by_reference = {name for name, gradient in zip(names, used, strict=True) if gradient is not None}
    alone = small.backbone(
        frames, [[type(c)(*(t.detach() for t in c)) for c in stage] for stage in features], small.audio(mels)
    )
    used = torch.autograd.grad(alone.sum(), list(names.values()), allow_unused=True)
    by_main = {name for name, gradient in zip(names, used, strict=True) if gradient is not None}
    extra = by_reference - by_main
    # What is left over are the keys and values of the mutual attention, which belong to the main branch (equation 2).
    assert all("mma.key" in name or "mma.value" in name or "mma.gain" in name for name in extra), extra
    assert not any("fc1" in name or "fc2" in name or "audio" in name for name in by_reference)


def test_a_cached_reference_gives_what_a_fresh_one_gives(small: AVCAT) -> None:
    frames, reference, mels = inputs(3)
    once = small(frames, small.encode_reference(reference), mels).prediction
    each = [small(frames[i : i + 1], small.encode_reference(reference), mels[i : i + 1]).prediction for i in range(3)]
    torch.testing.assert_close(once, torch.cat(each), atol=1e-5, rtol=1e-5)


def test_what_lies_under_the_mask_is_never_read(small: AVCAT) -> None:
    frames, reference, mels = inputs(2)
    other = small.mask * frames + (1 - small.mask) * torch.randn_like(frames)
    kept = small.encode_reference(reference)
    assert torch.equal(small(frames, kept, mels).prediction, small(other, kept, mels).prediction)


@pytest.mark.parametrize("stages", [(3, 4, 5), (1, 2, 3, 4, 5)])
def test_audio_enters_the_stages_that_are_named(stages: tuple[int, ...]) -> None:
    network = AVCAT(dataclasses.replace(SMALL, backbone=dataclasses.replace(BACKBONE, audio_stages=stages)))
    assert network.backbone is not None
    with_audio = [i + 1 for i, stage in enumerate(network.backbone.stages) if stage.blocks[0].audio is not None]
    assert with_audio == list(stages)


def test_sound_changes_the_picture_and_only_through_f_a(small: AVCAT) -> None:
    frames, reference, mels = inputs(1)
    kept = small.encode_reference(reference)
    assert not torch.equal(small(frames, kept, mels).prediction, small(frames, kept, 1 - mels).prediction)
    torch.nn.init.zeros_(small.audio.map[-1].weight)  # now f_a is the same whatever is heard
    assert torch.equal(small(frames, kept, mels).prediction, small(frames, kept, 1 - mels).prediction)


@pytest.mark.parametrize("hears", [False, True])
def test_a_block_computes_equations_2_to_5(hears: bool) -> None:
    torch.manual_seed(0)
    c, side = 8, 8
    block = Block(dim=c, heads=2, mlp_ratio=2.0, bias_side=None, audio_dim=6 if hears else None).eval()
    windows = Windows(4, 0)
    f_t, f_r, f_a = torch.randn(2, side, side, c), torch.randn(2, side, side, c), torch.randn(2, 6)
    seen = block.mma.context(f_r, windows)
    msa = block.msa(f_t, block.msa.context(f_t, windows), windows, None)
    mma = block.mma(f_t, seen, windows, None)
    z = torch.cat((msa, mma), -1) @ block.fc1.weight.T + block.fc1.bias  # (2)
    if hears:
        assert block.audio is not None
        assert block.fc2 is not None
        f_kl = f_a @ block.audio.weight.T + block.audio.bias
        z = (f_kl[:, None, None] + z) @ block.fc2.weight.T + block.fc2.bias  # (3)
    z = z + f_t  # (4)
    first, _, second = block.mlp
    hidden = z @ first.weight.T + first.bias
    mlp = torch.where(hidden > 0, hidden, 0.2 * hidden) @ second.weight.T + second.bias
    torch.testing.assert_close(block(f_t, seen, f_a, windows, None), mlp + z)  # (5)


@pytest.mark.parametrize(
    "change", [{"backbone": None, "refinement": SEEING}, {"refinement": None}], ids=["RN only", "w/o RN"]
)
def test_ablations_run(change: dict[str, Any]) -> None:
    network = AVCAT(dataclasses.replace(SMALL, **change))
    frames, reference, mels = inputs(2)
    redrawn = network(frames, network.encode_reference(reference), mels)
    assert redrawn.prediction.shape == frames.shape
    assert (redrawn.intermediate is None) == ("backbone" in change)


def test_the_refinement_gets_the_frame_with_the_first_picture_in_its_mask(small: AVCAT) -> None:
    """Section 3.3: M I + (1 - M) I^p, and nothing else of the frame."""
    given: list[torch.Tensor] = []
    assert small.refinement is not None
    small.refinement.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    frames, reference, mels = inputs()
    intermediate = small(frames, small.encode_reference(reference), mels).intermediate
    kept = small.mask.bool().expand_as(frames)
    assert torch.equal(given[0][kept], frames[kept])
    assert torch.equal(given[0][~kept], intermediate[~kept])


def test_every_convolution_of_the_refinement_is_modulated(small: AVCAT) -> None:
    assert small.refinement is not None
    kinds = {type(module) for module in small.refinement.modules() if hasattr(module, "stride")}
    assert kinds == {ModulatedConv2d}


def test_a_refinement_alone_has_to_see_the_reference() -> None:
    with pytest.raises(InputError, match=r"model\.refinement\.reference"):
        AVCAT(dataclasses.replace(SMALL, backbone=None))


def test_a_refinement_that_sees_references_sees_its_own() -> None:
    """Two clips of two frames: another reference for the second clip leaves the first clip as it was."""
    torch.manual_seed(0)
    refinement = Refinement(SEEING, style_dim=8)
    pictures, references, f_a = torch.randn(4, 3, 16, 16), torch.randn(2, 3, 16, 16), torch.randn(4, 8)
    changed = torch.stack((references[0], references[1].flip(-1)))
    before, after = refinement(pictures, references, f_a), refinement(pictures, changed, f_a)
    assert torch.equal(before[:2], after[:2])
    assert not torch.allclose(before[2:], after[2:])


def test_a_model_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="both null"):
        AVCAT(dataclasses.replace(SMALL, backbone=None, refinement=None))


def test_an_image_size_that_cannot_be_halved_is_refused() -> None:
    narrow = dataclasses.replace(BACKBONE, stage_strides=(2, 2, 2, 2, -2))
    with pytest.raises(InputError, match="an image of 16 px cannot be halved"):
        AVCAT(dataclasses.replace(SMALL, image_size=16, backbone=narrow))


def test_what_cannot_be_shared_out_is_refused() -> None:
    for backbone, message in (
        (dataclasses.replace(BACKBONE, windows=(5,) * 5), "cannot be cut into windows of 5"),
        (dataclasses.replace(BACKBONE, heads=3), "16 channels cannot be shared by 3 heads"),
    ):
        with pytest.raises(InputError, match=message):
            AVCAT(dataclasses.replace(SMALL, backbone=backbone))
    with pytest.raises(InputError, match="must be a multiple of 16, not 100"):
        AVCAT(dataclasses.replace(SMALL, image_size=100))


def test_skips_carry_detail_past_the_narrow_maps() -> None:
    """With skips the reference reaches the last stage even where the way through the narrow maps is cut."""
    network = AVCAT(dataclasses.replace(SMALL, backbone=dataclasses.replace(BACKBONE, skips=True))).eval()
    assert network.backbone is not None
    for stage in list(network.backbone.stages)[2:4]:
        for parameter in stage.parameters():
            torch.nn.init.zeros_(parameter)
    random = torch.Generator().manual_seed(2)
    one, two = (network.encode_reference(torch.rand(1, 3, 64, 64, generator=random)).features[4][0] for _ in range(2))
    assert not torch.allclose(one.v_BGhNd, two.v_BGhNd)


def test_skips_between_maps_of_different_size_are_refused() -> None:
    uneven = dataclasses.replace(BACKBONE, skips=True, stage_strides=(2, 2, 1, 1, -2))
    with pytest.raises(InputError, match="skips"):
        AVCAT(dataclasses.replace(SMALL, backbone=dataclasses.replace(uneven, stage_strides=(2, 2, 2, -2, 1))))


def test_discriminator_looks_at_every_scale() -> None:
    logits = Discriminator(DiscriminatorConfig(width=8, layers=3, scales=2))(torch.randn(2, 3, 64, 64))
    assert [tuple(level.shape) for level in logits] == [(2, 1, 14, 14), (2, 1, 6, 6)]
