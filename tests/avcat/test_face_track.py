"""Following one face among several, gaps, and Face Mesh on drawn faces."""

import subprocess
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from drawn import face_picture

from avcat.face.landmarks import EYE_CORNERS, MOUTH, OVAL, Face, MediaPipeDetector
from avcat.face.opening import mouth_opening
from avcat.face.track import (
    Person,
    Sightings,
    Track,
    box_iou,
    fill_gaps,
    find_people,
    gaps,
    longest_gap,
    speaker,
    track_of,
)


def face_at(x: float, size: float = 50) -> Face:
    box = np.array([x, 0, x + size, size], np.float32)
    mouth = np.tile(np.array([x, 0], np.float32), (20, 1))
    return Face(box, 0.9, np.array([[x, 0], [x + size / 2, 0]], np.float32), mouth)


class Script:
    """A detector with given results, picture by picture."""

    def __init__(self, *faces: list[Face]) -> None:
        self.faces = faces

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        for _, faces in zip(images, self.faces, strict=True):
            yield sorted(faces, key=lambda face: face.box[0] - face.box[2])


def pictures(count: int, fps: float = 25) -> Iterator[tuple[float, np.ndarray]]:
    """Black, each with its number in the corner; 400 x 100."""
    for t in range(count):
        image = np.zeros((100, 400, 3), np.uint8)
        image[0, 0] = t
        yield t / fps, image


def follow(*faces: list[Face]) -> Track:
    """The tracks of all faces: with one face, its track."""
    seen = people(*faces)
    return track_of(seen, *seen.people)


def people(*faces: list[Face], cut_at: int | None = None) -> Sightings:
    return find_people(pictures(len(faces)), Script(*faces), lambda image: int(image[0, 0, 0]) == cut_at)


def places(person: Person) -> list[tuple[int, float]]:
    return [(frame, float(face.box[0])) for frame, face in zip(person.frames, person.faces, strict=True)]


def test_people_are_told_apart_by_overlap_though_they_come_and_go() -> None:
    seen = people(
        [face_at(0, 60), face_at(200, 50)],
        [face_at(4, 55), face_at(200, 70)],
        [face_at(200, 90)],
        [face_at(9, 55), face_at(200, 90), face_at(320, 20)],
    )
    assert [places(person) for person in seen.people] == [
        [(0, 0), (1, 4), (3, 9)],
        [(0, 200), (1, 200), (2, 200), (3, 200)],
        [(3, 320)],
    ]
    assert seen.size == (400, 100)


def test_the_best_overlap_goes_first() -> None:
    """Both faces overlap the person; the one that overlaps more is theirs, the other is new."""
    seen = people([face_at(0, 50)], [face_at(30, 60), face_at(2, 50)])
    assert [places(person) for person in seen.people] == [[(0, 0), (1, 2)], [(1, 30)]]


def test_at_a_cut_everybody_is_new() -> None:
    seen = people([face_at(0)], [face_at(0)], [face_at(0)], cut_at=2)
    assert [places(person) for person in seen.people] == [[(0, 0), (1, 0)], [(2, 0)]]
    assert seen.cuts == [2]


def test_who_was_gone_for_long_is_somebody_new() -> None:
    seen = people([face_at(0)], *[[]] * 24, [face_at(0)], *[[]] * 25, [face_at(0)])
    assert [person.frames for person in seen.people] == [[0, 25], [51]]


def test_the_speaker_is_the_largest_or_the_most_central() -> None:
    seen = people(*[[face_at(0, 60), face_at(175, 50)]] * 3)
    assert speaker(seen, "largest") is seen.people[0]
    assert speaker(seen, "central") is seen.people[1]


def test_the_track_of_a_person() -> None:
    seen = people([face_at(0)], [], [face_at(4)])
    track = track_of(seen, *seen.people)
    assert track.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(track.box[[0, 2], 0], [0, 4])
    assert np.isnan(track.eyes[1]).all()
    assert track.score.tolist() == pytest.approx([0.9, 0, 0.9])


def test_no_frame_and_no_face() -> None:
    assert follow().found.size == 0
    empty = follow([], [], [])
    assert not empty.found.any()
    assert fill_gaps(empty, 5) is empty


def test_iou_by_hand() -> None:
    a, b = np.array([0, 0, 10, 10]), np.array([5, 0, 15, 10])
    assert box_iou(a, b) == pytest.approx(50 / 150)
    assert box_iou(a, a + 100) == 0


def test_gaps_by_hand() -> None:
    found = np.array([0, 1, 1, 0, 0, 0, 1, 0], bool)
    assert gaps(found) == [(0, 1), (3, 6), (7, 8)]
    assert longest_gap(found) == 3
    assert longest_gap(np.ones(4, bool)) == 0


def test_short_gaps_are_interpolated_over_time_and_long_ones_left() -> None:
    track = follow([], [face_at(0)], [], [], [face_at(30)], [], [], [], [face_at(70)], [])
    filled = fill_gaps(track, 2)
    np.testing.assert_allclose(filled.box[:5, 0], [0, 0, 10, 20, 30], atol=1e-5)
    assert np.isnan(filled.box[5:8]).all()
    assert filled.box[9, 0] == 70
    assert filled.found.tolist() == track.found.tolist()
    np.testing.assert_allclose(fill_gaps(track, 3).box[5:8, 0], [40, 50, 60], atol=1e-5)


def test_the_maps_into_face_mesh() -> None:
    assert len(MOUTH) == len(set(MOUTH)) == 20
    assert len(OVAL) == len(set(OVAL)) == 36
    assert len({point for eye in EYE_CORNERS for point in eye}) == 4


@pytest.fixture(scope="module")
def detector() -> MediaPipeDetector:
    return MediaPipeDetector(max_faces=2)


def test_face_mesh_finds_a_drawn_face(detector: MediaPipeDetector) -> None:
    for opening in (0.0, 0.2):
        ((face,),) = detector.follow([face_picture(face=140, opening=opening)])
        np.testing.assert_allclose(face.eyes, [[130.6, 143.2], [189.4, 143.2]], atol=4)
        np.testing.assert_allclose(face.mouth.mean(axis=0), [160, 206.2], atol=6)
        left, upper, right, lower = (face.mouth[n] for n in (0, 3, 6, 9))
        assert left[0] < upper[0] < right[0]
        assert upper[1] < left[1] < lower[1]
        assert face.mouth[12, 0] < face.mouth[14, 0] < face.mouth[16, 0]
        assert (face.box[:2] < face.eyes.min(axis=0)).all()
        assert (face.box[2:] > face.mouth.max(axis=0)).all()
        assert (mouth_opening(face.mouth, face.eyes) > 0.2) == (opening > 0)


def test_places_do_not_depend_on_the_size_of_the_picture(detector: MediaPipeDetector) -> None:
    small = face_picture(face=140)
    large = np.kron(small, np.ones((5, 5, 1), np.uint8))  # 1600 pixels: shrunk before detection
    ((a,),) = detector.follow([small])
    ((b,),) = detector.follow([large])
    np.testing.assert_allclose((b.eyes + 0.5) / 5 - 0.5, a.eyes, atol=1.5)
    np.testing.assert_allclose((b.mouth + 0.5) / 5 - 0.5, a.mouth, atol=1.5)


def test_the_last_clip_is_forgotten(detector: MediaPipeDetector) -> None:
    picture = face_picture(face=140)
    ((first,), _) = detector.follow([picture, face_picture(face=90, centre=(120, 150))])
    ((again,),) = detector.follow([picture])
    np.testing.assert_array_equal(again.mouth, first.mouth)


def test_two_faces_largest_first_and_none(detector: MediaPipeDetector) -> None:
    both = np.concatenate([face_picture(face=90), face_picture(face=150)], axis=1)
    (faces,) = detector.follow([both])
    assert [round(float(face.box[0]) / 320) for face in faces] == [1, 0]
    assert list(detector.follow([np.full((100, 180, 3), 128, np.uint8)])) == [[]]


def test_nothing_is_said_on_stderr_but_what_is_not_mediapipes() -> None:
    code = (
        "import sys, numpy as np\n"
        f"sys.path.insert(0, {str(__file__).rsplit('/', 1)[0]!r})\n"
        "from drawn import face_picture\n"
        "from avcat.face.landmarks import MediaPipeDetector, without_chatter\n"
        "detector = MediaPipeDetector()\n"
        "assert all(detector.follow([face_picture(face=140)]))\n"
        "assert all(detector.follow([face_picture(240, 320, face=140)]))\n"
        "with without_chatter(): print('kept', file=sys.stderr, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "kept\n"
