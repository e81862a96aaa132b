"""Files as they are found in the wild: each ends as one row with the right reason, and none stops the run."""

import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import plane
import pyarrow.parquet as pq
import pytest
from videos import write_video

REAL = Path(os.environ.get("AVCAT_REAL", "/nonexistent"))
UNREADABLE = "cannot be read as video or sound (Invalid data found when processing input)"


def with_sound(source: Path, target: Path, codec: str, rate: int) -> None:
    """The picture of `source` as it is, beside a tone in another coding."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        picture = out.add_stream_from_template(given.streams.video[0])
        sound = out.add_stream(codec, rate=rate, layout="mono")
        out.start_encoding()
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                out.mux(packet)
        tone = 0.1 * np.sin(np.arange(2 * rate) * 0.1, dtype=np.float32)
        for at in range(0, tone.size, 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, at : at + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))


@pytest.fixture(scope="module")
def report(ray_instance: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The rows of the report, by path, of a folder of bad files that also holds six good speakers."""
    base = tmp_path_factory.mktemp("hard")
    root = plane.render_words(base, 4, seed=7)
    good = sorted((root / "train").rglob("*.mp4"))[0]
    bad = root / "train" / "bad"
    bad.mkdir()
    (bad / "breaks off.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    write_video(bad / "truncated.mp4", 30, sound=True)  # its index is at its end
    os.truncate(bad / "truncated.mp4", (bad / "truncated.mp4").stat().st_size // 2)
    (bad / "empty.mp4").touch()
    (bad / "text.mp4").write_text("this is no video\n" * 100)
    write_video(bad / "soundless.mp4", 30, sound=False)
    with av.open(str(bad / "pictureless.mp4"), "w") as out:
        sound = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    with av.open(str(bad / "wav.mp3"), "w", format="wav") as out:
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        out.mux(sound.encode(frame))
    with_sound(good, bad / "50 kHz.mkv", "pcm_s16le", 50_000)
    with_sound(good, bad / "24 bit.mov", "pcm_s24le", 48_000)
    for name in ("with space", 'it\'s "quoted"', "two\nlines", "жук 日本"):
        shutil.copy(good, bad / f"{name}.mp4")
    shutil.copy(good, os.fsencode(bad) + b"/latin-\xe9.mp4")
    for speaker in ("twin 1", "twin 2"):
        (root / "train" / speaker).mkdir()
        shutil.copy(good, root / "train" / speaker / "same.mp4")
    (bad / "itself.mp4").symlink_to("itself.mp4")
    (bad / "up").symlink_to(root)
    plane.preprocess(plane.data_of(root), base / "out", plane.runtime())
    rows = pq.read_table(base / "out" / "shards" / "outcomes.parquet").to_pylist()
    assert len({row["clip_id"] for row in rows}) == len(rows)
    by_path = {row["path"]: row for row in rows}
    assert len(by_path) == len(rows)
    return by_path


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("truncated.mp4", "rejected", UNREADABLE),
        ("breaks off.mp4", "rejected", UNREADABLE),
        ("empty.mp4", "rejected", "the file is empty"),
        ("text.mp4", "rejected", UNREADABLE),
        ("soundless.mp4", "rejected", "no sound"),
        ("pictureless.mp4", "rejected", "no video stream"),
        ("wav.mp3", "rejected", "no video stream"),
        ("50 kHz.mkv", "ok", ""),
        ("24 bit.mov", "ok", ""),
        ("with space.mp4", "ok", ""),
        ('it\'s "quoted".mp4', "ok", ""),
        ("two\nlines.mp4", "ok", ""),
        ("жук 日本.mp4", "ok", ""),
        (r"latin-\xe9.mp4", "rejected", "its name is not UTF-8"),
        ("itself.mp4", "rejected", "cannot be opened (Too many levels of symbolic links)"),
    ],
)
def test_each_has_its_row(report: dict[str, dict[str, Any]], name: str, status: str, reason: str) -> None:
    row = report[f"train/bad/{name}"]
    assert (row["status"], row["reason"]) == (status, reason)


def test_none_is_missing_and_none_is_there_twice(report: dict[str, dict[str, Any]]) -> None:
    assert len(report) == 15 + 2 + 6
    assert report["train/twin 1/same.mp4"]["clip_id"] != report["train/twin 2/same.mp4"]["clip_id"]
    assert report["train/twin 1/same.mp4"]["status"] == report["train/twin 2/same.mp4"]["status"] == "ok"


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """As a user that is not root."""
    import subprocess
    import sys

    write_video(tmp_path / "secret.mp4", 30, sound=True)
    (tmp_path / "secret.mp4").chmod(0)
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from pipelines.probe import File, Prober\n"
        "from pipelines.outcome import failed\n"
        "from stages._params import load\n"
        "try:\n"
        f"    Prober(load('test').data, Path('/'))(File({str(tmp_path)!r}, 'secret.mp4', 1, 1))\n"
        "except Exception as error:\n"
        "    print(failed(error))\n"
    )
    for folder in tmp_path.parents:
        if folder.is_relative_to("/tmp/") or folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*user, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Failed(reason='cannot be opened (Permission denied)', rejected=True)", done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="AVCAT_REAL names no folder of clips")
def test_real_clips(ray_instance: None, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    for folder in ("clips", "hard", "audio"):
        for file in sorted((REAL / folder).iterdir()):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / file.name).symlink_to(file)
    table = tmp_path / "clips.csv"
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink())
    splits = {"clips/LipNetGRID_bbaf2n.mpg": "val", "clips/LipNetGRID_brbk7n.mpg": "test"}
    lines = [f"{name},{Path(name).stem},{splits.get(name, 'train')}" for name in files]
    table.write_text("\n".join(["path,speaker,split", *lines]))
    data = plane.data_of(root, detector=plane.load("test").data.detector)
    data.corpora["mine"] = plane.replace(data.corpora["mine"], table=str(table))
    plane.preprocess(data, tmp_path / "out", plane.runtime())
    rows = pq.read_table(tmp_path / "out" / "shards" / "outcomes.parquet").to_pylist()
    ends: dict[str, set[tuple[str, str]]] = {name: set() for name in files}
    for row in rows:
        ends[row["path"]].add((row["status"], row["reason"]))
    assert all(ends.values()), "a file without a row"
    assert not [row for row in rows if row["status"] == "failed"]
    assert ends["hard/MuseTalk_sun.mp4"] == {("rejected", "no sound")}
    assert ends["hard/Wav2LipHist_test.mov"] <= {
        ("rejected", "face not found often enough"),
        ("rejected", "gap"),
        ("rejected", "cut"),
        ("rejected", "too short"),
        ("ok", ""),
    }
    assert ends["hard/Synchformer_lrs3_00018.mp4"] == {("rejected", "face too small")}
    for name in files:
        if name.startswith("clips/"):
            assert ("ok", "") in ends[name], (name, ends[name])
        if name.startswith("audio/"):
            assert ends[name] == {("rejected", "no video stream")}
