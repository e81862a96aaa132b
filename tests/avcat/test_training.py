"""The loop and both tasks: a stopped run resumes as if it had not been stopped; training reduces the loss."""

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import INPUTS, KINDS, METHODS, OPTIMISER, SIZE, SYNC, TRAIN, make_store, make_task

from avcat.checkpoint import VERSION, load_model, read_facts, save_model
from avcat.data.windows import ClipStore
from avcat.errors import InputError
from avcat.inference.redraw import Redrawer
from avcat.losses.sync import SYNC_LOSSES
from avcat.media.mel import mel_windows, shifted
from avcat.methods import build
from avcat.methods.avcat.model import AVCAT
from avcat.methods.avcat.task import AVCATTask, LossWeights
from avcat.methods.syncnet.model import SyncNet
from avcat.methods.syncnet.task import SyncNetTask, judge, overfit
from avcat.nn.pictures import to_network
from avcat.seeding import rng_of
from avcat.settings import to_dict
from avcat.training.generator import gradient_shares
from avcat.training.loop import SPEED, Loggers, checkpoints, precision_of, run, save, speed
from avcat.training.optimiser import OptimiserConfig, learning_rate_factor


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("training") / "shards")


class Recorder:
    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}
        self.images: list[str] = []

    @property
    def loggers(self) -> Loggers:
        return Loggers(self.rows.__setitem__, lambda name, _step, _image: self.images.append(name))


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_equals_one_that_was_never_stopped(kind: str, store: ClipStore, tmp_path: Path) -> None:
    whole, first, second = Recorder(), Recorder(), Recorder()
    task = make_task(kind, store)
    run(task, OPTIMISER, tmp_path / "whole", whole.loggers, fingerprint="x")

    class Stopped(Exception):
        pass

    def stop_at_five(step: int, figures: dict[str, float]) -> None:
        first.rows[step] = figures
        if step == 5:
            raise Stopped

    with pytest.raises(Stopped):
        run(
            make_task(kind, store),
            OPTIMISER,
            tmp_path / "parts",
            Loggers(stop_at_five, lambda *_: None),
            fingerprint="x",
        )
    again = make_task(kind, store)
    run(again, OPTIMISER, tmp_path / "parts", second.loggers, fingerprint="x")

    assert sorted(second.rows) == [5, 6], "step 4 had been kept"
    for step, figures in second.rows.items():
        for name, value in figures.items():
            if name not in SPEED:
                assert value == whole.rows[step][name], (step, name)
    for a, b in zip(task.averaged.parameters(), again.averaged.parameters(), strict=True):
        assert torch.equal(a, b)
    curves = [(tmp_path / part / "curves.csv").read_text() for part in ("whole", "parts")]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("damage", ["cut", "zeroed", "other"])
def test_an_unreadable_checkpoint_falls_back_to_the_one_before(damage: str, store: ClipStore, tmp_path: Path) -> None:
    run(make_task("syncnet", store), OPTIMISER, tmp_path, Recorder().loggers, fingerprint="x")
    kept = checkpoints(tmp_path)
    assert [path.name for path in kept] == ["step-00000004.pt", "step-00000006.pt"]
    data = kept[-1].read_bytes()
    middle = len(data) // 2
    damaged = {"cut": data[:1000], "zeroed": data[:middle] + bytes(64) + data[middle + 64 :], "other": b"no checkpoint"}
    assert damaged[damage] != data
    kept[-1].write_bytes(damaged[damage])
    recorder = Recorder()
    run(make_task("syncnet", store), OPTIMISER, tmp_path, recorder.loggers, fingerprint="x")
    assert sorted(recorder.rows) == [5, 6]


def test_speed_counts_the_images_of_a_step() -> None:
    figures = speed((3, 5, 32, 32, 3), 0.5, 0.125)
    assert figures.pop("gpu_memory_gib", 0) >= 0
    assert figures == {"step_s": 0.5, "images_per_s": 30, "data_wait_share": 0.25}


def test_a_checkpoint_of_other_settings_is_not_used(store: ClipStore, tmp_path: Path) -> None:
    run(make_task("syncnet", store), OPTIMISER, tmp_path, Recorder().loggers, fingerprint="x")
    recorder = Recorder()
    config = dataclasses.replace(OPTIMISER, steps=2, checkpoint_every=1)
    run(make_task("syncnet", store), config, tmp_path, recorder.loggers, fingerprint="y")
    assert sorted(recorder.rows) == [1, 2]
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000001.pt", "step-00000002.pt"], "later ones went"


def test_a_step_whose_loss_is_not_finite_changes_nothing(store: ClipStore) -> None:
    task = make_task("syncnet", store)
    before = [p.clone() for p in (*task.network.parameters(), *task.ema.parameters(), task.ema.n_averaged)]
    batch = task.sampler.batch(0)
    batch.mels[:] = np.nan
    figures = task.step(0, batch)
    assert math.isnan(figures["gradient_norm"])
    after = (*task.network.parameters(), *task.ema.parameters(), task.ema.n_averaged)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_run_of_bad_steps_gives_up(store: ClipStore, tmp_path: Path) -> None:
    task = make_task("syncnet", store)
    task.step = lambda number, batch: {"loss": math.nan}  # type: ignore[method-assign]
    config = dataclasses.replace(OPTIMISER, steps=60, validate_every=1000, checkpoint_every=1000)
    with pytest.raises(FloatingPointError, match="not finite"):
        run(task, config, tmp_path, Recorder().loggers, fingerprint="x")


def test_syncnet_learns_who_speaks_when(store: ClipStore, tmp_path: Path) -> None:
    optimiser = dataclasses.replace(OPTIMISER, steps=60, batch_clips=4, learning_rate=3e-3, validate_every=60)
    task = SyncNetTask(dataclasses.replace(SYNC, optimiser=optimiser, augment=False), store, store, None, "cpu")
    before = judge(task.averaged, store)["two_way"]
    run(task, optimiser, tmp_path, Recorder().loggers, fingerprint="x")
    after = judge(task.averaged, store, planted=True)
    assert after["two_way"] > max(0.85, before)
    assert after["planted_exact"] >= 0.5


def test_syncnet_learns_from_pairs_as_wav2lip_has_it(store: ClipStore, tmp_path: Path) -> None:
    optimiser = dataclasses.replace(OPTIMISER, steps=60, batch_clips=4, learning_rate=3e-3, validate_every=60)
    config = dataclasses.replace(SYNC, optimiser=optimiser, augment=False, loss="cosine_bce")
    task, recorder = SyncNetTask(config, store, store, None, "cpu"), Recorder()
    run(task, optimiser, tmp_path, recorder.loggers, fingerprint="x")
    assert abs(recorder.rows[1]["loss"] - math.log(2)) < 0.2
    after = judge(task.averaged, store, planted=True)
    assert after["two_way"] > 0.8
    assert after["right_at_10"] > after["right_at_1"] > 0.5


def test_a_syncnet_that_still_guesses_stops_with_a_reason(store: ClipStore, tmp_path: Path) -> None:
    class Deaf(ClipStore):
        def mel(self, clip: int) -> np.ndarray:
            return np.zeros_like(store.mel(clip))

    deaf = Deaf(store.rows[0][1].path.parent, image_size=SIZE, cache_bytes=1 << 30)
    config = dataclasses.replace(SYNC, chance_steps=4)
    with pytest.raises(InputError, match="SyncNet still guesses after 6 steps"):
        run(
            SyncNetTask(config, deaf, deaf, None, "cpu"),
            OPTIMISER,
            tmp_path / "deaf",
            Recorder().loggers,
            fingerprint="x",
        )
    patient = dataclasses.replace(config, chance_steps=7)
    run(
        SyncNetTask(patient, deaf, deaf, None, "cpu"),
        OPTIMISER,
        tmp_path / "patient",
        Recorder().loggers,
        fingerprint="x",
    )


OVERFIT = dataclasses.replace(
    SYNC, optimiser=dataclasses.replace(OPTIMISER, batch_clips=4, learning_rate=3e-3), chance_steps=1
)


def test_what_belongs_together_is_learnt_by_heart_the_same_way_each_time(store: ClipStore) -> None:
    metrics = overfit(OVERFIT, store, 80, "cpu", Recorder().loggers)
    assert metrics["two_way"] > 0.9
    assert metrics["right_at_15"] > 0.9
    assert metrics == overfit(OVERFIT, store, 80, "cpu", Recorder().loggers)


def test_another_sound_is_not_learnt_by_heart(store: ClipStore) -> None:
    class Swapped(ClipStore):
        def mel(self, clip: int) -> np.ndarray:
            return rng_of("noise", clip).random((80, 1), np.float32).repeat(4 * self.lengths[clip], 1)

    swapped = Swapped(store.rows[0][1].path.parent, image_size=SIZE, cache_bytes=1 << 30)
    assert overfit(OVERFIT, swapped, 80, "cpu", Recorder().loggers)["two_way"] < 0.6


def test_a_batch_in_parts_teaches_what_it_teaches_whole(store: ClipStore) -> None:
    def steps(accumulate: int) -> tuple[list[dict[str, float]], AVCATTask]:
        config = dataclasses.replace(TRAIN, optimiser=dataclasses.replace(OPTIMISER, muon=False, batch_clips=4))
        config = dataclasses.replace(config, accumulate=accumulate, augment=False)
        torch.manual_seed(5)
        task = AVCATTask(config, store, store, SyncNet(SYNC.model), "cpu")
        return [task.step(n, task.sampler.batch(n)) for n in range(3)], task

    (whole, one), (parts, two) = steps(1), steps(2)
    for row in (*whole, *parts):
        for name in [name for name in row if name.startswith("gradient_share_")]:
            del row[name]  # only of the first part
    for a, b in zip(whole, parts, strict=True):
        # The discriminator's spectral norms are estimated again by each of its calls, of which there are more.
        assert b == pytest.approx(a, rel=2e-2, abs=1e-4)
        assert b["l1"] == pytest.approx(a["l1"], rel=1e-3)
    for p, q in zip(one.network.parameters(), two.network.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("kind", ["syncnet", "avcat"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_teaches_nearly_what_fp32_teaches(kind: str, precision: str, store: ClipStore) -> None:
    def losses(optimiser: OptimiserConfig) -> list[dict[str, float]]:
        torch.manual_seed(5)
        if kind == "syncnet":
            task = SyncNetTask(dataclasses.replace(SYNC, optimiser=optimiser), store, store, None, "cpu")
        else:
            config = dataclasses.replace(TRAIN, optimiser=optimiser)
            task = AVCATTask(config, store, store, SyncNet(SYNC.model), "cpu")  # type: ignore[assignment]
        return [task.step(n, task.sampler.batch(n)) for n in range(12)]

    plain = losses(dataclasses.replace(OPTIMISER, muon=False))
    half = losses(dataclasses.replace(OPTIMISER, muon=False, precision=precision))  # type: ignore[arg-type]
    first = "loss" if kind == "syncnet" else "l1"
    assert half[0][first] == pytest.approx(plain[0][first], rel=0.02)
    assert half[-1][first] == pytest.approx(plain[-1][first], rel=0.2)
    taken = [row["gradient_norm"] for row in half if math.isfinite(row["gradient_norm"])]
    assert taken, "the scale never came down"
    assert min(taken) < 100, "clipping sees gradients without their scale"


def test_gradient_shares_are_norms_over_their_sum() -> None:
    picture = torch.zeros(1, 3, 4, 4, requires_grad=True)
    losses = {
        "near": 3 * picture.sum(),
        "far": picture[..., 0, 0].sum() * 0 + picture.sum(),
        "other": torch.tensor(1.0),
    }
    losses["other"].requires_grad_()
    assert gradient_shares(losses, picture) == pytest.approx({"gradient_share_near": 0.75, "gradient_share_far": 0.25})


def test_the_share_of_each_loss_is_told_now_and_then(store: ClipStore) -> None:
    task = make_task("avcat", store)
    first, second = (task.step(n, task.sampler.batch(n)) for n in (0, 1))
    shares = {name: value for name, value in first.items() if name.startswith("gradient_share_")}
    assert set(shares) == {f"gradient_share_{name}" for name in ("l1", "edges", "gan", "vgg", "sync")}
    assert sum(shares.values()) == pytest.approx(1)
    assert not any(name.startswith("gradient_share_") for name in second)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's compiler reads `.grad` of what is no leaf
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles for a processor by g++")
def test_shares_are_measured_after_a_compiled_training_resumed_between(store: ClipStore) -> None:
    """The graph of an ordinary step must not free what the shares of a later one go back through."""
    task = make_task("avcat", store)
    task.compile()
    for number, batch in zip(range(49, 51), task.batches(49, 51), strict=True):
        figures = task.step(number, batch)
    assert figures["gradient_share_l1"] > 0


@pytest.mark.parametrize("kind", ["avcat", "pc_avs", "makeittalk"])
def test_losses_of_weight_0_are_measured_at_validations_only(kind: str, store: ClipStore) -> None:
    config, task_of = METHODS[kind]
    names = {"edges", "gan", "vgg", "sync", "features"}
    off = {name: 0.0 for name in names if hasattr(config.weights, name)}
    config = dataclasses.replace(config, weights=dataclasses.replace(config.weights, **off))
    torch.manual_seed(5)
    task = task_of(config, store, store, SyncNet(SYNC.model), "cpu")
    for number in range(11):
        figures = task.step(number, task.sampler.batch(number))
        assert not off.keys() & figures.keys()
        assert figures["l1"] > 0
    held_out, _ = task.validate(11)
    assert off.keys() <= held_out.keys()
    assert all(held_out[name] > 0 for name in off.keys() - {"gan"})


def test_a_resumed_run_keeps_the_precision_it_began_with(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, begun = (dataclasses.replace(OPTIMISER, precision=p) for p in ("auto", "bf16"))
    monkeypatch.setattr("avcat.nn.precision.quickest", lambda _: "fp32")
    assert precision_of(wanted, tmp_path, "x", "cpu") == "fp32"
    save(make_task("syncnet", store), tmp_path, 2, "x", begun)
    assert precision_of(wanted, tmp_path, "x", "cpu") == "bf16"
    assert precision_of(wanted, tmp_path, "of other settings", "cpu") == "fp32"
    assert precision_of(OPTIMISER, tmp_path, "x", "cpu") == OPTIMISER.precision == "fp32", "as asked for"


def test_a_batch_that_cannot_be_cut_so_is_refused(store: ClipStore) -> None:
    with pytest.raises(InputError, match=r"accumulate: 2 clips of a process cannot be cut into 3 parts"):
        AVCATTask(dataclasses.replace(TRAIN, accumulate=3), store, store, SyncNet(SYNC.model), "cpu")


def test_the_sync_loss_needs_frames_that_follow_one_another(store: ClipStore) -> None:
    with pytest.raises(InputError, match=r"consecutive"):
        AVCATTask(dataclasses.replace(TRAIN, consecutive=False), store, store, SyncNet(SYNC.model), "cpu")


def test_the_sync_loss_judges_five_frames_in_order_by_the_sound_of_the_middle_one(
    store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[torch.Tensor, torch.Tensor]] = []

    def sync(_expert: SyncNet, frames: torch.Tensor, mels: torch.Tensor) -> torch.Tensor:
        judged.append((frames.detach(), mels))
        return frames.mean()

    monkeypatch.setitem(SYNC_LOSSES, "cosine", sync)
    task = make_task("avcat", store)
    batch = task.sampler.batch(0)
    task.step(0, batch)
    frames, mels = judged[0]
    assert frames.shape[:2] == (OPTIMISER.batch_clips, 5)
    torch.testing.assert_close(mels.cpu(), torch.from_numpy(batch.mels[:, 2]))


@pytest.mark.parametrize("form", ["cosine", "bce"])
def test_the_total_is_equation_10_and_what_we_add(form: str, store: ClipStore) -> None:
    config = dataclasses.replace(TRAIN, sync_form=form)
    task = AVCATTask(config, store, store, SyncNet(SYNC.model), "cpu")
    figures = task.step(0, task.sampler.batch(0))
    w = config.weights
    pixels = [
        figures[f"{first}l1"] * w.l1 + figures[f"{first}edges"] * w.edges + figures[f"{first}vgg"] * w.vgg
        for first in ("", "intermediate_")
    ]
    expected = pixels[0] + config.intermediate * pixels[1] + w.gan * figures["gan"] + w.sync * figures["sync"]
    assert figures["total"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"backbone": None}},
        {"model": {"refinement": None}},
        {"weights": {"sync": 0.0}},
    ],
    ids=["RN only", "w/o RN", "w/o Sync"],
)
def test_ablations_train(change: dict[str, dict[str, object]], store: ClipStore) -> None:
    config = dataclasses.replace(
        TRAIN, **{key: dataclasses.replace(getattr(TRAIN, key), **value) for key, value in change.items()}
    )
    task = AVCATTask(config, store, store, SyncNet(SYNC.model), "cpu")
    before = [parameter.detach().clone() for parameter in task.network.parameters() if parameter.requires_grad]
    for number in range(2):  # at step 0 the learning rate of the warm-up may be next to nothing
        figures = task.step(number, task.sampler.batch(number))
    assert math.isfinite(figures["total"])
    assert ("intermediate_l1" in figures) == ("weights" in change)
    after = [parameter for parameter in task.network.parameters() if parameter.requires_grad]
    assert np.mean([not torch.equal(a, b) for a, b in zip(before, after, strict=True)]) > 0.95


def test_av_cat_learns_to_open_the_mouth(store: ClipStore, tmp_path: Path) -> None:
    optimiser = dataclasses.replace(
        OPTIMISER, steps=100, batch_clips=4, learning_rate=3e-3, warmup_steps=10, validate_every=100
    )
    weights = LossWeights(l1=1.0, edges=0.0, gan=0.0, vgg=0.0, sync=0.0)
    config = dataclasses.replace(
        TRAIN,
        optimiser=optimiser,
        weights=weights,
        l1_mouth=1.0,
        audio_from_syncnet=False,
        audio_frozen=False,
        consecutive=False,
    )
    task, recorder = AVCATTask(config, store, store, None, "cpu"), Recorder()
    untrained, _ = task.validate(0)
    run(task, optimiser, tmp_path, recorder.loggers, fingerprint="x")
    trained, pictures = task.validate(100)
    assert trained["l1"] < 0.7 * untrained["l1"]
    frames = to_network(torch.from_numpy(store.frames(0, np.arange(40))))
    mels = torch.from_numpy(mel_windows(store.mel(0), np.arange(40)))
    network = task.averaged
    with torch.inference_mode():
        redrawn = network(frames, network.encode_reference(frames[:1]), mels).prediction
    heights = [picture[:, 0, 18:31, 10:22].mean((1, 2)).numpy() for picture in (frames, redrawn)]
    assert np.corrcoef(*heights)[0, 1] > 0.7, "the mouth opens with the sound"
    assert pictures["held_out"].dtype == np.uint8
    assert recorder.images == ["held_out"]
    assert "val_vgg" in recorder.rows[100], "a loss of weight 0 is still measured"


def test_the_mouth_counts_more_and_the_kept_picture_not_at_all(store: ClipStore) -> None:
    task = make_task("avcat", store)
    truth = torch.zeros(1, 3, SIZE, SIZE)

    def loss(row: int, column: int) -> float:
        picture = truth.clone()
        picture[..., row, column] = 1
        return task.pixels.l1(picture, truth).item()

    assert loss(5, 16) == 0
    assert loss(SIZE - 1, 16) > 0
    assert loss(20, 16) > 3 * loss(SIZE - 1, 4)
    assert task.pixels.l1(truth + task.network.composite(truth, truth + 1), truth).item() == pytest.approx(1)


def test_edges_count_what_l1_of_colours_does_not_see(store: ClipStore) -> None:
    task = make_task("avcat", store)
    truth = torch.zeros(1, 3, SIZE, SIZE)
    stripes = truth.clone()
    stripes[..., ::2] = 1
    everywhere = task.pixels.edges(truth + 1, truth).item()
    assert everywhere == pytest.approx(0), "equal errors side by side make no edge"
    columns = task.pixels.weights[..., 1:].sum() / task.pixels.weights[..., 1:].numel()
    assert task.pixels.edges(stripes, truth).item() == pytest.approx(columns.item())
    assert task.pixels.edges(stripes.mT, truth).item() == pytest.approx((task.pixels.weights[..., 1:, :].mean()).item())


def test_learning_rate_warms_up_and_ends_at_nothing() -> None:
    config = dataclasses.replace(OPTIMISER, steps=100, warmup_steps=10)
    assert learning_rate_factor(0, config) == 0.1
    assert learning_rate_factor(9, config) == learning_rate_factor(10, config) == 1
    assert learning_rate_factor(55, config) == pytest.approx(0.5)
    assert learning_rate_factor(100, config) == pytest.approx(0)


def test_a_later_sound_is_silent_at_first() -> None:
    mel = np.arange(8, dtype=np.float32)[None].repeat(80, 0) + 1
    assert shifted(mel, 1)[0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4]
    assert shifted(mel, -1)[0].tolist() == [5, 6, 7, 8, 0, 0, 0, 0]


@pytest.fixture
def model_file(store: ClipStore, tmp_path: Path) -> Path:
    task = make_task("avcat", store)
    save_model(tmp_path / "model.pt", "avcat", task.averaged, TRAIN.model, INPUTS, {"steps": 0})
    return tmp_path / "model.pt"


def test_a_model_file_brings_back_the_network(model_file: Path, store: ClipStore) -> None:
    network, file = load_model(model_file, AVCAT)
    assert file.inputs == INPUTS
    expected = make_task("avcat", store).averaged.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_the_same_model_is_the_same_bytes(store: ClipStore, tmp_path: Path) -> None:
    network = make_task("avcat", store).averaged
    for name in ("one.pt", "another.pt"):
        save_model(tmp_path / name, "avcat", network, TRAIN.model, INPUTS, {"steps": 6})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()


def test_validation_leaves_the_discriminator_as_it_was(store: ClipStore) -> None:
    task = make_task("avcat", store)
    before = {name: value.clone() for name, value in task.discriminator.state_dict().items()}
    task.validate(0)
    assert all(torch.equal(before[name], value) for name, value in task.discriminator.state_dict().items())
    assert task.discriminator.training


def test_a_redrawer_changes_the_masked_region_alone(model_file: Path) -> None:
    redrawer = Redrawer.from_checkpoint(model_file, batch_frames=2)
    crops = rng_of("crops").integers(0, 255, (5, 64, 64, 3)).astype(np.uint8)
    windows = rng_of("mels").random((5, 80, 20)).astype(np.float32)
    out = redrawer.redraw(crops, windows, redrawer.encode_reference(crops[0]))
    changed = (out != crops).any(-1)
    assert not changed[:, :32].any()
    assert not changed[:, :, :4].any()
    assert not changed[:, :, 60:].any()
    assert changed[:, 32:, 4:60].mean() > 0.9
    own = [redrawer.redraw(crops[n : n + 1], windows[n : n + 1], redrawer.encode_reference(crops[n])) for n in range(5)]
    each_its_own = redrawer.redraw(crops, windows, None).astype(int)
    assert np.abs(each_its_own - np.concatenate(own)).max() <= 1
    assert np.abs(each_its_own[1:] - out[1:]).max() > 1
    smooth = np.full((1, 64, 64, 3), 77, np.uint8)
    assert np.abs(redrawer.degrade(smooth).astype(int) - 77).max() <= 1


def test_a_batch_too_large_for_a_gpu_is_one_line(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redrawer = Redrawer.from_checkpoint(model_file, batch_frames=512)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(redrawer.network, "forward", full)
    with pytest.raises(InputError, match="512 frames at once are too many for its memory"):
        redrawer.redraw(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 80, 20), np.float32), None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "version": VERSION + 1}, f"format version {VERSION + 1}"),
        (lambda c: {**c, "kind": "syncnet"}, "a model of kind syncnet"),
        (lambda c: {"weights": c["weights"]}, "not a model file of this project"),
        (lambda c: {**c, "weights": {}}, "do not fit"),
    ],
)
def test_model_files_that_cannot_be_used(model_file: Path, change, message: str) -> None:
    torch.save(change(torch.load(model_file, weights_only=True)), model_file)
    with pytest.raises(InputError, match=message):
        load_model(model_file, AVCAT)


@pytest.mark.parametrize("kind", ["avcat", "wav2lip_rn", "pc_avs"])
def test_files_of_version_1_are_read(kind: str, tmp_path: Path) -> None:
    """As they were written until 0.1: other names, and settings that are gone."""
    config, network = METHODS[kind][0].model, build(kind, to_dict(METHODS[kind][0].model))
    path = tmp_path / "model.pt"
    save_model(path, kind, network, config, INPUTS, {})
    content = torch.load(path, weights_only=True)
    model, old = content["model"], {"avcat": "avcat", "wav2lip_rn": "avcat", "pc_avs": "pc-avs"}[kind]
    if kind == "avcat":
        model |= {"wav2lip": None, "backbone": {**model["backbone"], "mutual_shares_projection": False}}
    if kind == "wav2lip_rn":
        width = model.pop("width")
        model |= {"backbone": None, "wav2lip": {"image_size": model["image_size"], "width": width}}
    weights = {name.replace(".mma.", ".own_mma."): tensor for name, tensor in content["weights"].items()}
    torch.save({**content, "version": 1, "kind": old, "model": model, "weights": weights}, path)
    again, facts = load_model(path, type(network))
    assert facts.kind == kind
    for name, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=0, atol=0)


def test_files_that_are_no_model_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_facts(tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="not a model file"):
        read_facts(tmp_path / "text.pt")


@pytest.mark.parametrize("damage", ["bytes", "nan", "parts"])
def test_a_damaged_model_file_is_refused(damage: str, tmp_path: Path) -> None:
    path, network = tmp_path / "model.pt", SyncNet(SYNC.model)
    if damage == "nan":
        with torch.no_grad():
            network.audio_out[1].bias[0] = math.nan
    save_model(path, "syncnet", network, SYNC.model, INPUTS, {})
    if damage == "bytes":
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
        path.write_bytes(data)
    if damage == "parts":
        torch.save({"format": "avcat-model", "version": VERSION, "kind": "syncnet"}, path)
    said = {"bytes": "damaged", "nan": "some of its weights are no numbers", "parts": "has no model, inputs"}
    with pytest.raises(InputError, match=rf"model\.pt: {said[damage]}"):
        load_model(path, SyncNet)
