"""A mark means finished from these inputs, and nothing else does."""

from pathlib import Path

import avcat.face
import avcat.media
from avcat.media.mel import MelConfig
from pipelines.state import code_hash, file_hash, fingerprint, is_done, mark_done

MEL = MelConfig(16_000, 1280, 160, 80, 125.0, 7600.0, 0.1)


def test_a_mark_is_of_its_inputs(tmp_path: Path) -> None:
    mark = tmp_path / "state" / "a.done"
    assert not is_done(mark, "x")
    mark_done(mark, "x")
    assert is_done(mark, "x")
    assert not is_done(mark, "y")


def test_fingerprints_are_of_values() -> None:
    assert fingerprint({"b": 1, "a": 2.5}, MEL) == fingerprint({"a": 2.5, "b": 1}, MelConfig(*vars(MEL).values()))
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert len(fingerprint()) == 32


def test_code_and_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    assert code_hash(avcat.face) == code_hash(avcat.face) != code_hash(avcat.media)
    assert file_hash(tmp_path / "none") == ""
    (tmp_path / "some").write_bytes(b"abc")
    assert file_hash(tmp_path / "some").startswith("ba7816bf")
