"""The evaluation over small shards: choice of clips, figures that do not depend on the workers, failures as rows."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avcat.checkpoint import save_model
from avcat.data.inputs import InputConfig
from avcat.data.shards import Landmarks, ShardClip, write_shard
from avcat.errors import InputError
from avcat.face.align import AlignConfig
from avcat.media.mel import MelConfig
from avcat.media.pictures import jpeg
from avcat.methods.syncnet.model import SyncNet, SyncNetConfig
from avcat.metrics.figures import FIGURES
from avcat.metrics.image import psnr
from avcat.metrics.pair import EvaluateConfig
from avcat.metrics.results import read_results
from avcat.nn.audio import AudioEncoderConfig
from pipelines.evaluate import (
    Evaluation,
    Job,
    Scorer,
    choose_clips,
    corpus_metrics,
    evaluate,
    first_of_each_speaker,
    list_clips,
)
from stages._params import load

SIZE, FRAMES = 64, 8
CONFIG = EvaluateConfig(
    clips_per_corpus=0, batch_frames=8, sync_max_shift=2, bootstrap_samples=50, seed=0, lpips_weights=None, syncnet=None
)
INPUTS = InputConfig(
    SIZE, AlignConfig((0.37, 0.31), (0.63, 0.31), 0.1, 1.0), MelConfig(16000, 1280, 160, 80, 125.0, 7600.0, 0.1)
)


def pictures(number: int) -> np.ndarray:
    """Frames in which everything changes, so that copying the reference has a known error."""
    rng = np.random.default_rng(number)
    return np.stack([np.full((SIZE, SIZE, 3), rng.integers(40, 200), np.uint8) for _ in range(FRAMES)])


def clip(number: int, corpus: str, speaker: str) -> ShardClip:
    flat = np.zeros((FRAMES, 2, 2), np.float32)
    marks = Landmarks(flat, np.zeros((FRAMES, 20, 2), np.float32), np.ones(FRAMES, bool), np.zeros((FRAMES, 2, 3)))
    jpegs = [jpeg(frame, 100) for frame in pictures(number)]
    mel = np.random.default_rng(number).random((80, 4 * FRAMES), np.float32)
    return ShardClip(f"{number:016x}", {"corpus": corpus, "speaker": speaker}, jpegs, mel, marks)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "shard-000000.tar", [clip(i, "synth-words", f"s{i // 2}") for i in range(4)])
    write_shard(folder / "shard-000001.tar", [clip(4, "synth-words", "s2"), clip(5, "synth-wild", "s3")])
    tar = folder / "shard-000001.tar"
    tar.write_bytes(tar.read_bytes().replace(b"\xff\xd8\xff", b"\x00\x00\x00", 1))  # no JPEG begins like this
    return folder


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = SyncNetConfig(image_size=32, audio=AudioEncoderConfig("small", 4, 8), face_width=4, dim=8)
    path = tmp_path_factory.mktemp("evaluator") / "model.pt"
    save_model(path, "syncnet", SyncNet(config), config, INPUTS, {})
    return path


def run(shards: Path, method: str, workers: int, evaluator: Path | None, checkpoint: Path | None = None) -> Evaluation:
    return evaluate(
        method,
        "synth-words",
        shards=shards,
        checkpoint=checkpoint,
        evaluator=evaluator,
        config=CONFIG,
        max_failed_fraction=0.5,
        runtime=replace(load("test").runtime, num_cpus=2, workers=workers, device="cpu", threads=1),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def evaluation(shards: Path, evaluator: Path, ray_instance: None) -> Evaluation:
    """Copying the reference on five clips, one of them broken, by two workers."""
    return run(shards, "copy-reference", 2, evaluator)


def test_spread_out_or_alone_the_figures_are_the_same(evaluation: Evaluation, shards: Path, evaluator: Path) -> None:
    jobs = list_clips(shards, "synth-words")
    everything = {job.clip_id for job in jobs}
    alone = Scorer(
        method="copy-reference", checkpoint=None, evaluator=evaluator, config=CONFIG, device="cpu", shown=everything
    )
    rows = {row["clip_id"]: row for row in evaluation.clips.to_pylist()}
    for job in jobs[:4]:
        figures, png = alone(job)
        for name in FIGURES:
            np.testing.assert_equal(rows[job.clip_id][name], figures[name], err_msg=name)
        assert evaluation.strips.get(job.clip_id, png) == png


def test_rows_are_in_the_order_of_the_clips_with_known_figures(evaluation: Evaluation) -> None:
    rows = evaluation.clips.to_pylist()
    assert [row["clip_id"] for row in rows] == [f"{i:016x}" for i in range(5)]
    truth = pictures(3)
    copied = truth.copy()
    copied[:, SIZE // 2 :, SIZE // 16 : -SIZE // 16] = truth[0, SIZE // 2 :, SIZE // 16 : -SIZE // 16]
    assert rows[3]["psnr"] == pytest.approx(psnr(truth[1:], copied[1:]).mean(), abs=0.05)
    assert (rows[3]["sync_windows"], rows[3]["found"]) == (FRAMES - 4, 0)  # there is no face in these pictures


def test_a_broken_clip_is_a_row_with_its_reason(evaluation: Evaluation) -> None:
    rows = evaluation.clips.to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["failed"]
    assert "broken frame" in rows[4]["reason"]
    assert evaluation.metrics["failed"] == 1
    assert evaluation.metrics["reasons"] == {rows[4]["reason"]: 1}
    assert evaluation.metrics["figures"]["ssim"]["coverage"] == 0.8


def test_what_is_written_is_read_back(evaluation: Evaluation, tmp_path: Path) -> None:
    old = tmp_path / "b" / "copy-reference" / "synth-words" / "strips" / "of-an-earlier-evaluation.png"
    old.parent.mkdir(parents=True)
    old.touch()
    for folder in "ab":
        evaluation.write(tmp_path / folder / "copy-reference" / "synth-words")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    (result,) = read_results(tmp_path / "a")
    assert (result.method, result.corpus, result.clips, result.failed) == ("copy-reference", "synth-words", 5, 1)
    assert result.figures["ssim"].mean == evaluation.metrics["figures"]["ssim"]["mean"]
    assert math.isnan(result.figures["lmd"].mean)
    assert [path.stem for path in result.strips] == [f"{i:016x}" for i in (0, 2)]  # one per speaker; third is broken


def test_infinite_figures_are_json_too() -> None:
    row = dict.fromkeys(FIGURES, math.inf) | {"speaker": "s", "status": "ok", "frames": 8}
    metrics = corpus_metrics("ground-truth", "synth-words", [row], "", CONFIG)
    assert metrics["figures"]["psnr"]["mean"] == "inf"
    json.dumps(metrics, allow_nan=False)


def jobs(speakers: str) -> list[Job]:
    return [Job(f"{i:04x}", "c", speaker, FRAMES, Path("x.tar"), i) for i, speaker in enumerate(speakers)]


def test_chosen_clips_are_spread_over_the_speakers() -> None:
    chosen = choose_clips(jobs("aaaaaaaabbbbccd"), EvaluateConfig(8, 8, 3, 10, 0, None, None))
    assert Counter(job.speaker for job in chosen) in (
        {"a": 3, "b": 2, "c": 2, "d": 1},
        {"a": 2, "b": 3, "c": 2, "d": 1},
    )
    assert [job.clip_id for job in chosen] == sorted(job.clip_id for job in chosen)


def test_chosen_clips_do_not_depend_on_their_order() -> None:
    all_clips, config = jobs("abcdefghijkl"), EvaluateConfig(5, 8, 3, 10, 0, None, None)
    assert choose_clips(all_clips[::-1], config) == choose_clips(all_clips, config)
    assert choose_clips(all_clips, config) != choose_clips(all_clips, EvaluateConfig(5, 8, 3, 10, 1, None, None))
    assert choose_clips(all_clips, EvaluateConfig(0, 8, 3, 10, 0, None, None)) == all_clips


def test_first_of_each_speaker() -> None:
    assert [job.row for job in first_of_each_speaker(jobs("bbaabc"))] == [0, 2, 5]


def test_bad_input(shards: Path, evaluator: Path) -> None:
    with pytest.raises(InputError, match="no clip of 'lrw'"):
        list_clips(shards, "lrw")
    with pytest.raises(InputError, match="full: this method needs a trained model"):
        run(shards, "full", 1, None)
    with pytest.raises(InputError, match="holds a model of kind syncnet, which draws no pictures"):
        run(shards, "full", 1, None, checkpoint=evaluator)
