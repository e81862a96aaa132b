"""Training on one person: what is kept of the sound, what of the light, and which sounds are used."""

import numpy as np
import pytest
import torch
from small_training import OPTIMISER, TRAIN, make_store

from avcat.data.windows import ClipStore
from avcat.media.mel import mel_windows
from avcat.methods.avcat.model import AVCAT
from avcat.methods.avcat.person import PersonTask, voice


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("person") / "shards")


@pytest.fixture
def network() -> AVCAT:
    torch.manual_seed(1)
    return AVCAT(TRAIN.model)


@pytest.fixture
def task(network: AVCAT, store: ClipStore) -> PersonTask:
    return PersonTask(OPTIMISER, network, store, store, "cpu")


def motion(task: PersonTask, change: torch.Tensor | float, times: float = 1.0) -> float:
    """The loss of that name, of what the network drew before, changed."""
    sample = task.sample(task.train, task.sampler.batch(0), None)
    with torch.no_grad():
        redrawn = task.draw(task.network, sample)
        drawn = times * task.network.composite(sample.truth, redrawn.prediction) + change
        return task.table(redrawn, drawn, sample)["motion"]().item()


def test_motion_is_what_differs_within_a_window(task: PersonTask) -> None:
    """Another skin costs nothing, half the movement half of what none at all does, one frame its deviations."""
    assert motion(task, 0.0) == 0
    assert motion(task, 0.3) == pytest.approx(0, abs=1e-6)
    still = motion(task, 0.0, times=0.0)
    assert still > 0
    assert motion(task, 0.0, times=0.5) == pytest.approx(still / 2, rel=1e-4)
    one = torch.zeros(5)
    one[2] = 0.1
    one = one.repeat(OPTIMISER.batch_clips)[:, None, None, None]
    # The mean moves by 0.02: the frame differs by 0.08, each of the four others by 0.02; weights have a mean of 1.
    assert motion(task, one) == pytest.approx((0.08 + 4 * 0.02) / 5, rel=1e-4)


def test_it_goes_on_from_the_network_and_only_the_refinement_learns(task: PersonTask, network: AVCAT) -> None:
    before = network.state_dict()
    for name, tensor in task.network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    task.step(0, task.sampler.batch(0))
    after = task.network.state_dict()
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} == {"refinement"}


def test_the_voice_moves_the_mean_alone_of_all_three_networks(task: PersonTask, store: ClipStore) -> None:
    spread = task.network.audio.spread.clone()
    task.hear(store)
    windows = voice(store)
    expected = task.network.audio.encoder(windows).mean(0)
    for each in (task.network, task.averaged, task._before):
        assert isinstance(each, AVCAT)
        torch.testing.assert_close(each.audio.mean, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(each.audio.spread, spread, rtol=0, atol=0)
    assert motion(task, 0.0) == 0  # before means: with the voice known


def test_a_voice_is_all_sounds_or_512_windows_of_them(store: ClipStore, monkeypatch: pytest.MonkeyPatch) -> None:
    every = np.concatenate([mel_windows(store.mel(clip), np.arange(n)) for clip, n in enumerate(store.lengths)])
    monkeypatch.setattr("avcat.methods.avcat.person.CALIBRATION_WINDOWS", 10**6)
    np.testing.assert_array_equal(voice(store), every)
    np.testing.assert_array_equal(voice(store, store), np.concatenate((every, every)))
    monkeypatch.setattr("avcat.methods.avcat.person.CALIBRATION_WINDOWS", 3)
    np.testing.assert_array_equal(voice(store), every[[0, (len(every) - 1) // 2, -1]])


def test_crops_move_and_the_light_stays(task: PersonTask) -> None:
    """A grey picture stays as it is; one with a bright edge does not, and all frames of a window move alike."""
    draws = task.draws(0)
    assert draws is not None
    grey = torch.full((OPTIMISER.batch_clips, 6, 3, 32, 32), 0.25)
    torch.testing.assert_close(task.augmented(grey, draws), grey)
    grey[..., :4] = 1.0
    moved = task.augmented(grey, draws)
    assert not torch.equal(moved, grey)
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
