"""A stage is made again when code that it runs has changed: `dvc.yaml` against what the stages import."""

from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

# They carry settings (DVC hashes those themselves), errors and work, and change no result.
CARRIERS = {
    "avcat.config",
    "avcat.errors",
    "avcat.files",
    "avcat.inference.onnx_network",  # stages redraw by torch
    "pipelines.child",
    "pipelines.cluster",
    "pipelines.grouped",
    "pipelines.outcome",
    "pipelines.parallel",
    "pipelines.resources",
    "pipelines.state",
    "pipelines.workers",
}
# Imported beside SyncNet, since both come from one file, but not run where only SyncNet is.
AV_CAT_ALONE = {
    "avcat.face.mask",
    "avcat.losses.gan",
    "avcat.losses.pixel",
    "avcat.losses.vgg",
    "avcat.models.avcat",
    "avcat.models.backbone",
    "avcat.models.build",
    "avcat.models.discriminator",
    "avcat.models.generator",
    "avcat.models.makeittalk",
    "avcat.models.pc_avs",
    "avcat.models.refinement",
    "avcat.models.wav2lip",
    "avcat.nn.attention",
    "avcat.nn.blocks",
    "avcat.training.avcat",
    "avcat.training.generator",
    "avcat.training.hearing",
    "avcat.training.makeittalk",
    "avcat.training.pc_avs",
    "avcat.training.wav2lip",
}
# What tracks need if a SyncNet chooses the speaker. That one was trained before, and is identified by its file.
SYNCNET_ALONE = {
    "avcat.checkpoint",
    "avcat.metrics.embed",
    "avcat.metrics.sync",
    "avcat.models.audio",
    "avcat.models.syncnet",
    "avcat.nn.convs",
    "avcat.nn.init",
}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("avcat", "pipelines", "stages")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_that_it_imports(imports: grimp.ImportGraph, name: str) -> None:
    module = STAGES[name]["cmd"].split()[2]
    free = CARRIERS | (AV_CAT_ALONE if name in ("tracks", "syncnet", "evaluator", "offsets") else set())
    free |= SYNCNET_ALONE if name == "tracks" else set()
    deps = STAGES[name]["deps"]
    missing = []
    for imported in {module, *imports.find_upstream_modules(module)} - free:
        file = Path(*imported.split(".")).with_suffix(".py")
        if imported.startswith("stages._") or not (ROOT / file).exists():  # a package's own file holds no code
            continue
        if not any(file == Path(dep) or Path(dep) in file.parents for dep in deps):
            missing.append(str(file))
    assert sorted(missing) == []


def test_every_dependency_exists() -> None:
    for name, stage in STAGES.items():
        code = [dep for dep in stage["deps"] if not dep.startswith("out/")]
        assert [dep for dep in code if not (ROOT / dep).exists()] == [], name
