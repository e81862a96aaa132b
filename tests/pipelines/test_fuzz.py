"""A thousand damaged videos: no worker is lost for good, and none hangs longer than its limit."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from videos import write_video

from avcat.media.audio import load_audio
from avcat.media.video import decode_at, probe
from pipelines.child import Child
from pipelines.clips import reading
from pipelines.outcome import Failed

FILES = 1000
LIMIT_S = 10.0


class Decoder:
    """All that the data plane does to a file before face detection."""

    def __call__(self, row: dict[str, Any]) -> tuple[int, int]:
        with reading(row, Path("/")) as path:
            probe(path)
            frames = sum(1 for _ in decode_at(path, 25, 0.0, 5.0))
            return frames, load_audio(path, 16_000, 0.0, 5.0).size


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, a piece taken out, doubled or moved, the end cut off: one or two of these."""
    for _ in range(rng.integers(1, 3)):
        array = np.frombuffer(data, np.uint8).copy()
        a, b = sorted(rng.integers(0, len(array), 2).tolist())
        match rng.integers(0, 10):
            case 1:
                data = data[:a] + data[min(b, a + 2000) :]
            case 2:
                data = data[:b] + data[a:]
            case 3:
                data = data[: max(b, 16)]
            case 4:
                array[a:b] = rng.integers(0, 256, b - a)
                data = array.tobytes()
            case _:
                places = rng.integers(0, len(array), rng.integers(1, 40))
                array[places] = rng.integers(0, 256, len(places))
                data = array.tobytes()
    return data


@pytest.mark.slow
def test_a_thousand_damaged_videos(tmp_path: Path) -> None:
    originals = [tmp_path / f"original.{suffix}" for suffix in ("mp4", "mkv", "avi", "ts")]
    for original in originals:
        write_video(original, 30, sound=True)
    rng = np.random.default_rng(0)
    child = Child(Decoder, {})
    good = child({"root": str(tmp_path), "path": "original.mp4"}, LIMIT_S)
    assert good[0] == 30
    ends: Counter[str] = Counter()
    for number in range(FILES):
        original = originals[number % len(originals)]
        path = tmp_path / f"{number}{original.suffix}"
        path.write_bytes(damaged(original.read_bytes(), rng))
        result = child({"root": str(tmp_path), "path": path.name}, LIMIT_S)
        ends[
            "rejected" if getattr(result, "rejected", False) else "failed" if isinstance(result, Failed) else "read"
        ] += 1
        if isinstance(result, Failed) and not result.rejected:
            print(path.name, result.reason)
        path.unlink()
    print(dict(ends))
    assert sum(ends.values()) == FILES
    assert ends["rejected"] > FILES / 20
    assert ends["read"] > FILES / 20
    assert child({"root": str(tmp_path), "path": "original.mp4"}, LIMIT_S) == good
    child.close()
