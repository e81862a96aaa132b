"""A source's own A/V offset: found where it was planted, finer than a frame, and not claimed if unknown."""

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import ALIGN, MEL, face_picture, talking, tone, write_video
from small_training import SYNC

from avcat.checkpoint import save_model
from avcat.data.inputs import InputConfig
from avcat.dubbing.offset import SourceOffset, _measured, source_offset
from avcat.errors import InputError
from avcat.face.landmarks import MediaPipeDetector
from avcat.methods import build
from avcat.metrics.sync import vertex
from avcat.seeding import rng_of
from avcat.settings import to_dict


def embeddings(lead: int, frames: int = 150, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Faces and sounds; each sound comes `lead` frames before its face."""
    random = rng_of("embeddings", lead)
    meaning = random.normal(size=(frames + 40, 16))
    faces = meaning[20 : 20 + frames] + noise * random.normal(size=(frames, 16))
    sounds = meaning[20 + lead : 20 + lead + frames]
    return tuple(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (faces, sounds))  # type: ignore[return-value]


@pytest.mark.parametrize("lead", [-7, -1, 0, 4, 12])
def test_a_planted_lead_is_found(lead: int) -> None:
    found = _measured(*embeddings(lead))
    assert found.sure
    assert found.lead_s == pytest.approx(lead / 25, abs=0.01)
    assert found.seconds == pytest.approx(154 / 25)


def test_noise_is_not_believed() -> None:
    random = rng_of("noise")
    claims = 0
    for _ in range(20):
        faces, sounds = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in random.normal(size=(2, 150, 16)))
        claims += _measured(faces, sounds).sure
    assert claims <= 1


def test_what_is_said() -> None:
    assert "comes before its picture by 0.16 s" in str(SourceOffset(0.16, 0.3, True, 6.0))
    assert "comes after its picture by 0.08 s" in str(SourceOffset(-0.08, 0.3, True, 6.0))
    assert "fits its picture" in str(SourceOffset(-0.01, 0.3, True, 6.0))
    assert str(SourceOffset(0.4, 0.03, False, 6.0)).startswith("cannot tell")


def test_the_vertex_of_a_parabola() -> None:
    assert vertex(*((x - 0.3) ** 2 for x in (-1, 0, 1))) == pytest.approx(0.3)
    assert vertex(*(-((x + 0.2) ** 2) for x in (-1, 0, 1))) == pytest.approx(-0.2)
    assert vertex(1.0, 2.0, 3.0) == vertex(float("nan"), 0.0, 1.0) == 0


@pytest.fixture(scope="module")
def syncnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("offset") / "syncnet.pt"
    torch.manual_seed(0)
    network = build("syncnet", to_dict(SYNC.model))
    save_model(path, "syncnet", network, SYNC.model, InputConfig(crop_size=64, align=ALIGN, mel=MEL), {})
    return path


def test_of_files(tmp_path: Path, syncnet: Path) -> None:
    detector = MediaPipeDetector()
    silent = write_video(tmp_path / "silent.mp4", iter([face_picture()] * 4))
    assert source_offset(silent, syncnet, detector) is None
    brief = write_video(tmp_path / "brief.mp4", talking(50), audio=(tone(2.0), 16_000))
    assert source_offset(brief, syncnet, detector) is None
    video = write_video(tmp_path / "v.mp4", talking(95), audio=(tone(3.8), 16_000))
    found = source_offset(video, syncnet, detector)
    assert found is not None
    assert found.seconds == pytest.approx(3.8, abs=0.05)
    assert not found.sure  # an untrained judge of a steady tone
    with pytest.raises(InputError, match="no such file"):
        source_offset(video, tmp_path / "none.pt", detector)
