"""Face Mesh sees rendered people as it sees real ones."""

import numpy as np
import pytest

from avcat.synth.corpus import CorpusConfig, SpeakersConfig, plan, take_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*(SwigPy|swigvarlink).*:DeprecationWarning"),
]
CORNERS = ((33, 133), (362, 263))
PEOPLE = SpeakersConfig(train=4, val=0, test=0, clips_per_speaker=1)
CONFIG = CorpusConfig(seed=11, size=256, words=PEOPLE, wild=PEOPLE, wild_seconds=(1.2, 1.2))


def test_face_mesh_finds_faces_where_they_are_and_sees_mouths_move() -> None:
    face_mesh = pytest.importorskip("mediapipe").solutions.face_mesh
    found, errors, correlations = [], [], []
    with face_mesh.FaceMesh(max_num_faces=1) as mesh:
        for spec in plan(CONFIG):
            mesh.reset()
            take, gaps = take_of(spec), []
            for picture in take.pictures():
                faces = mesh.process(picture).multi_face_landmarks
                found.append(bool(faces))
                points = np.array([(p.x, p.y) for p in faces[0].landmark]) if faces else np.full((478, 2), np.nan)
                points = points * (spec.width, spec.height) - 0.5
                eyes = np.array([points[list(pair)].mean(axis=0) for pair in CORNERS])
                gaps.append([*eyes.ravel(), np.linalg.norm(points[13] - points[14])])
            truth, seen = take.truth(), np.array(gaps)
            scale = 256 / min(spec.width, spec.height)
            errors.append(scale * np.linalg.norm(seen[:, :4].reshape(-1, 2, 2) - truth["eyes"], axis=2).mean())
            correlations.append(np.corrcoef(seen[:, 4], truth["opening"])[0, 1])
    assert np.mean(found) >= 0.99
    assert np.mean(errors) < 3
    assert np.mean(correlations) > 0.85
