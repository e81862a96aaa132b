"""RetinaFace with random weights (shapes, batches, errors) and, if they are available, with the published ones."""

import hashlib
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import face_picture

from avcat.errors import InputError
from avcat.face import retinaface
from avcat.face.detector import RetinaFaceConfig
from avcat.face.landmarks import MediaPipeDetector
from avcat.face.retinaface import RetinaFaceDetector, load_weights
from avcat.media.video import decode

REAL = Path(os.environ.get("AVCAT_REAL", "/nonexistent"))
MOBILENET = REAL / "weights" / "retinaface_mobilenet0.25.pth"
real = pytest.mark.skipif(not MOBILENET.exists(), reason="AVCAT_REAL names no folder with weights")


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def saved(path: Path, body: str) -> RetinaFaceConfig:
    torch.manual_seed(0)
    torch.save(retinaface._Network(body).state_dict(), path)
    return RetinaFaceConfig(body, str(path), sha256_of(path), max_side=128, batch_frames=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", ["resnet50", "mobilenet0.25"])
def test_a_batch_gives_what_single_pictures_give(tmp_path: Path, body: str) -> None:
    detector = RetinaFaceDetector(saved(tmp_path / "w.pth", body), max_faces=3, min_score=0.5)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (90 + 10 * (n > 4), 200, 3), np.uint8) for n in range(8)]
    together = list(detector.follow(pictures))
    assert len(together) == 8
    assert all(len(faces) <= 3 for faces in together)
    for picture, faces in zip(pictures, together, strict=True):
        (alone,) = detector.follow([picture])
        assert len(alone) == len(faces)
        for a, b in zip(alone, faces, strict=True):
            np.testing.assert_allclose(a.eyes, b.eyes, atol=1e-2)
            assert a.score == pytest.approx(b.score, abs=1e-4)
    assert list(detector.follow([])) == []


def test_weights_are_checked_before_they_are_loaded(tmp_path: Path) -> None:
    config = saved(tmp_path / "w.pth", "mobilenet0.25")
    with pytest.raises(InputError, match=r"w\.pth: its sha256 is [0-9a-f]{64}, not 1234"):
        load_weights(config.weights, "1234")
    with pytest.raises(InputError, match="not weights of RetinaFace with the body resnet50"):
        RetinaFaceDetector(replace(config, body="resnet50"), max_faces=1, min_score=0.5)
    with pytest.raises(InputError, match=r"nothing\.pth: cannot be read"):
        load_weights(str(tmp_path / "nothing.pth"), "00")
    with pytest.raises(InputError, match="cannot be fetched"):
        load_weights("http://127.0.0.1:9/weights.pth", "0123456789")


def test_a_pickle_that_would_run_something_is_not_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_weights(str(path), sha256_of(path))
    assert not (tmp_path / "ran").exists()


def test_weights_packed_in_a_zip_once_more(tmp_path: Path) -> None:
    import zipfile

    saved(tmp_path / "w.pth", "mobilenet0.25")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(tmp_path / "w.pth", "w.pth")
    state = load_weights(str(tmp_path / "w.zip"), sha256_of(tmp_path / "w.zip")[:9])
    assert len(state) == len(load_weights(str(tmp_path / "w.pth"), sha256_of(tmp_path / "w.pth")))


@pytest.fixture(scope="module")
def published() -> RetinaFaceDetector:
    config = RetinaFaceConfig("mobilenet0.25", str(MOBILENET), "2979b33f", max_side=640, batch_frames=8)
    return RetinaFaceDetector(config, max_faces=4, min_score=0.7)


@real
def test_published_weights_find_the_face_where_face_mesh_does(published: RetinaFaceDetector) -> None:
    pictures = [frame.image for frame in decode(REAL / "clips" / "PCAVS_audio_00086.mp4", end_s=1.0)]
    found = list(published.follow(pictures))
    meshes = list(MediaPipeDetector().follow(pictures))
    for faces, (mesh,) in zip(found, meshes, strict=True):
        assert len(faces) == 1
        assert faces[0].score > 0.99
        distance = np.linalg.norm(mesh.eyes[1] - mesh.eyes[0])
        assert np.abs(faces[0].eyes - mesh.eyes).max() < 0.1 * distance
        assert np.abs(faces[0].mouth[[0, 6]] - mesh.mouth[[0, 6]]).max() < 0.2 * distance
        assert np.isnan(faces[0].mouth[1]).all()


@real
def test_published_weights_find_two_faces_and_none(published: RetinaFaceDetector) -> None:
    ((picture,),) = ([frame.image for frame in decode(REAL / "hard" / "VisualVoice_interview.mp4", end_s=0.01)],)
    assert [len(faces) for faces in published.follow([picture, np.full_like(picture, 128)])] == [2, 0]


def test_a_drawn_face_is_a_face_to_the_published_weights(request: pytest.FixtureRequest) -> None:
    if not MOBILENET.exists():
        pytest.skip("AVCAT_REAL names no folder with weights")
    detector: RetinaFaceDetector = request.getfixturevalue("published")
    (faces,) = detector.follow([face_picture(face=140)])
    np.testing.assert_allclose(faces[0].eyes, [[130.6, 143.2], [189.4, 143.2]], atol=8)
