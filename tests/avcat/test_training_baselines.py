"""The peers learn what they are for: mouths that open with the sound."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import INPUTS, MAKEITTALK, METHODS, OPTIMISER, SIZE, SYNC, WAV2LIP, make_store, make_task

from avcat.checkpoint import save_model
from avcat.data.windows import ClipStore
from avcat.errors import InputError
from avcat.face.landmarks import Face
from avcat.inference.redraw import Redrawer
from avcat.media.mel import mel_windows
from avcat.methods.makeittalk.run import PortraitTalker
from avcat.methods.syncnet.model import SyncNet
from avcat.methods.wav2lip.task import Wav2LipTask
from avcat.training.loop import Loggers, run

QUIET = Loggers(lambda *_: None, lambda *_: None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("baselines") / "shards")


class Bars:
    """Finds the "face" of a talking clip: its eyes, and its bar as the mouth at the height of the reference."""

    def __init__(self, store: ClipStore, clip: int) -> None:
        self.points = store.landmarks(clip)[0] * SIZE - 0.5

    def follow(self, images: np.ndarray) -> "list[list[Face]]":
        eyes = self.points[20:] * images.shape[1] / SIZE
        mouth = self.points[:20] * images.shape[1] / SIZE
        return [[Face(np.zeros(4), 1.0, eyes, mouth, np.zeros((36, 2)))]]


def trained(kind: str, store: ClipStore, folder: Path, steps: int) -> Path:
    """A model file, trained without adversary, VGG and sync: small networks learn by L1 in a few seconds."""
    config, task_of = METHODS[kind]
    optimiser = dataclasses.replace(
        OPTIMISER, steps=steps, batch_clips=4, learning_rate=4e-3, warmup_steps=10, validate_every=steps, ema_decay=0.9
    )
    off = {name: 0.0 for name in ("gan", "vgg", "features", "style", "sync") if hasattr(config.weights, name)}
    config = dataclasses.replace(config, optimiser=optimiser, weights=dataclasses.replace(config.weights, **off))
    if hasattr(config, "audio_frozen"):
        config = dataclasses.replace(config, audio_frozen=False)
    torch.manual_seed(5)
    task = task_of(config, store, store, SyncNet(SYNC.model), "cpu")
    run(task, optimiser, folder / "state", QUIET, fingerprint="x")
    save_model(folder / "model.pt", kind, task.averaged, config.model, INPUTS, {"steps": steps})
    return folder / "model.pt"


@pytest.mark.parametrize(("kind", "steps"), [("wav2lip", 120), ("pc_avs", 120), ("makeittalk", 300)])
def test_the_mouth_opens_with_the_sound(kind: str, steps: int, store: ClipStore, tmp_path: Path) -> None:
    model = trained(kind, store, tmp_path, steps)
    at = np.arange(store.lengths[0])
    crops, windows = store.frames(0, at).repeat(2, 1).repeat(2, 2), mel_windows(store.mel(0), at)
    if kind == "makeittalk":
        drawn = PortraitTalker.from_checkpoint(model, detector=Bars(store, 0)).talk(crops[0], windows)  # type: ignore[arg-type]
    else:
        redrawer = Redrawer.from_checkpoint(model, batch_frames=8)
        drawn = redrawer.redraw(crops, windows, redrawer.encode_reference(crops[0]))
    assert drawn.shape == crops.shape
    true, found = (pictures[:, 36:62, 20:44].mean((1, 2, 3)) for pictures in (crops, drawn))
    assert np.corrcoef(true, found)[0, 1] > 0.7


def test_the_gate_of_wav2lip_s_sync_loss_opens_and_is_kept(store: ClipStore) -> None:
    task = make_task("wav2lip", store)
    assert task.weights() == pytest.approx({"l1": 0.93, "edges": 0.0, "gan": 0.07, "sync": 0.0})
    task.config = dataclasses.replace(WAV2LIP, sync_gate=0.0)
    assert task.validate(1)[0]["in_step"] == 0
    task.config = dataclasses.replace(WAV2LIP, sync_gate=9.0)
    assert task.validate(2)[0]["in_step"] == 1
    assert task.weights() == pytest.approx({"l1": 0.9, "edges": 0.0, "gan": 0.07, "sync": 0.03})
    figures = task.step(2, task.sampler.batch(2))
    expected = 0.9 * figures["l1"] + 0.07 * figures["gan"] + 0.03 * figures["sync"]
    assert figures["total"] == pytest.approx(expected, rel=1e-5)
    again = make_task("wav2lip", store)
    again.load_state(task.state())
    assert again.in_step


def test_wav2lip_without_a_gate_hears_its_expert_from_the_first_step(store: ClipStore) -> None:
    config = dataclasses.replace(WAV2LIP, sync_gate=None)
    task = Wav2LipTask(config, store, store, SyncNet(SYNC.model), "cpu")
    assert task.weights()["sync"] == 0.03
    assert task.validate(1)[0]["in_step"] == 1


def test_wav2lip_needs_frames_that_follow_one_another(store: ClipStore) -> None:
    with pytest.raises(InputError, match=r"consecutive"):
        Wav2LipTask(dataclasses.replace(WAV2LIP, consecutive=False), store, store, SyncNet(SYNC.model), "cpu")


def test_makeittalk_learns_from_landmarks_that_belong_to_its_sounds(store: ClipStore) -> None:
    task = make_task("makeittalk", store)
    batch = task.sampler.batch(0)
    talk = task.sample(store, batch, None)
    clip, at = int(batch.clips[0]), batch.at[0]
    marks = store.landmarks(clip)
    np.testing.assert_array_equal(talk.rest[0].numpy(), marks[at[-1]])
    start = min(max(0, at[0] - 9), 40 - MAKEITTALK.sequence_frames)
    np.testing.assert_array_equal(talk.marks[0].numpy(), marks[start : start + 18])
    np.testing.assert_array_equal(talk.mels[0].numpy(), mel_windows(store.mel(clip), np.arange(start, start + 18)))
    np.testing.assert_allclose(marks[0, 20] * SIZE - 0.5, [10, 10], atol=1e-4)


def test_makeittalk_is_never_mirrored(store: ClipStore) -> None:
    task = make_task("makeittalk", store)
    batch = task.sampler.batch(0)
    plain, lit = (task.sample(store, batch, draws) for draws in (None, torch.full((2, 9), 0.5)))
    mirrored = torch.zeros(2, 9)
    mirrored[:, 1:] = 0.5  # a draw below 0.5 mirrors, the middle of the others leaves the light as it is
    torch.testing.assert_close(task.sample(store, batch, mirrored).truth, plain.truth)
    torch.testing.assert_close(lit.truth, plain.truth)


def test_a_portrait_without_a_face_is_named(store: ClipStore, tmp_path: Path) -> None:
    task = make_task("makeittalk", store)
    save_model(tmp_path / "model.pt", "makeittalk", task.averaged, MAKEITTALK.model, INPUTS, {})

    class Blind:
        def follow(self, images: np.ndarray) -> list[list[Face]]:
            return [[]]

    talker = PortraitTalker.from_checkpoint(tmp_path / "model.pt", detector=Blind())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no face in the reference frame"):
        talker.talk(np.zeros((64, 64, 3), np.uint8), np.zeros((9, 80, 20), np.float32))
