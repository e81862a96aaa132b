"""Shards: aligned clips in a tar that WebDataset reads as a stream, with an index for exact random access.

`shard-000000.tar` holds, for each clip, one JPEG per frame, the mel, the landmarks and a JSON of facts; a clip is one
WebDataset sample, its key is the clip id. `shard-000000.parquet` (`schema.SHARD_INDEX`) gives each member's byte
range, so that any frame takes one read. `shard-000000_stats.json` is written last: its presence means done.
The same clips give the same bytes.
"""

import hashlib
import io
import json
import logging
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from avcat.data import schema
from avcat.errors import InputError
from avcat.files import atomic_path, located, read_range, read_table

log = logging.getLogger(__name__)

MEL, LANDMARKS, META = "mel.npy", "landmarks.npz", "json"


@dataclass(frozen=True)
class Landmarks:
    """What is known about the face in each of T frames, in pixels of the stored crop."""

    eyes: np.ndarray  # float32 [T, 2, 2]: left, right
    mouth: np.ndarray  # float32 [T, 20, 2], dlib's 48..67
    found: np.ndarray  # bool [T]: False if interpolated
    matrix: np.ndarray  # float64 [T, 2, 3]: source pixels to crop pixels


@dataclass(frozen=True)
class ShardClip:
    """One clip as it enters a shard. `meta` has at least `corpus` and `speaker`; `mel` is float32 [bands, 4 T]."""

    clip_id: str
    meta: dict[str, Any]
    jpegs: Sequence[bytes]  # T crops
    mel: np.ndarray
    landmarks: Landmarks


def decode_jpeg(data: bytes | memoryview, out: np.ndarray | None = None) -> np.ndarray:
    """The uint8 [H, W, 3] RGB image of a JPEG, in `out` if it is given, shrunk if `out` is smaller.

    Decodes directly into `out` if the sizes are equal: copying would cost a tenth of decoding. Raises ValueError if
    the JPEG is broken or cut off.
    """
    import simplejpeg  # only here: a training step by itself decodes no pictures

    if out is None:
        return simplejpeg.decode_jpeg(data, "RGB")
    if out.shape[:2] == simplejpeg.decode_jpeg_header(data)[:2]:
        return simplejpeg.decode_jpeg(data, "RGB", buffer=out)
    return cv2.resize(simplejpeg.decode_jpeg(data, "RGB"), out.shape[1::-1], dst=out, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=4096)
def npy_header(shape: tuple[int, int]) -> bytes:
    """What `np.save` writes before the bytes of a float32 array of this shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


def index_path(tar: Path) -> Path:
    return tar.with_suffix(".parquet")


def stats_path(tar: Path) -> Path:
    return tar.with_name(f"{tar.stem}_stats.json")


def write_shard(tar: Path, clips: Iterable[ShardClip]) -> dict[str, Any]:
    """Writes the tar, its index and its stats, in this order and each atomically; returns the stats.

    The clips are taken one at a time, in the order given; an exception from the iterable leaves no tar behind.
    """
    from webdataset import TarWriter  # only here: reading a shard needs no webdataset

    with atomic_path(tar) as part:
        with part.open("wb") as stream, TarWriter(stream, encoder=False, mtime=0) as writer:
            for clip in clips:
                writer.write(_members(clip))
        index = index_tar(part)
        with part.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        size = part.stat().st_size
    with atomic_path(index_path(tar)) as part:
        pq.write_table(index, part)
    frames = sum(index["frames"].to_pylist())
    stats = {"clips": index.num_rows, "frames": frames, "bytes": size, "sha256": sha256}
    with atomic_path(stats_path(tar)) as part:
        part.write_text(json.dumps(stats, indent=1) + "\n")
    return stats


def _members(clip: ShardClip) -> dict[str, Any]:
    frames, marks = len(clip.jpegs), clip.landmarks
    assert clip.mel.shape[1] == 4 * frames, (clip.mel.shape, frames)
    assert clip.mel.dtype == np.float32, clip.mel.dtype
    assert all(len(part) == frames for part in (marks.eyes, marks.mouth, marks.found, marks.matrix))
    mel, landmarks = io.BytesIO(), io.BytesIO()
    np.save(mel, clip.mel)
    np.savez(landmarks, eyes=marks.eyes, mouth=marks.mouth, found=marks.found, matrix=marks.matrix)
    return {
        "__key__": clip.clip_id,
        META: json.dumps(clip.meta, sort_keys=True).encode(),
        MEL: mel.getvalue(),
        LANDMARKS: landmarks.getvalue(),
        **{f"{frame:05d}.jpg": data for frame, data in enumerate(clip.jpegs)},
    }


def index_tar(tar: Path) -> pa.Table:
    """The index (`schema.SHARD_INDEX`) of a tar, made from the tar only."""
    rows: dict[str, dict[str, Any]] = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            clip_id, kind = member.name.split(".", 1)
            row = rows.setdefault(clip_id, {"clip_id": clip_id, "jpeg_offsets": [], "jpeg_sizes": []})
            place = {"offset": member.offset_data, "size": member.size}
            if kind == META:
                facts = json.load(archive.extractfile(member))  # type: ignore[arg-type]
                row |= {"meta": place, "corpus": facts["corpus"], "speaker": facts["speaker"]}
            elif kind.endswith(".jpg"):
                row["jpeg_offsets"].append(place["offset"])
                row["jpeg_sizes"].append(place["size"])
            else:
                row[kind.split(".")[0]] = place
    for row in rows.values():
        row["frames"] = len(row["jpeg_offsets"])
    return pa.Table.from_pylist(list(rows.values()), schema=schema.SHARD_INDEX)


class ShardReader:
    """Random access to the clips of one shard. Safe to share between threads, to fork and to pickle.

    `clips` is the index table (`schema.SHARD_INDEX`), one row per clip; the methods take the row number.
    A missing, cut-off or broken file raises InputError with its name.
    """

    def __init__(self, tar: str | Path) -> None:
        self.path = Path(tar) if isinstance(tar, str) else tar
        try:
            self.clips = read_table(index_path(self.path), schema=schema.SHARD_INDEX)
            size = self.path.stat().st_size
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{self.path}: cannot be read as a shard: {error}".splitlines()[0]) from error
        end = self._end()
        if size < end:
            raise InputError(f"{self.path}: the file ends early: {end} bytes expected, {size} found")
        # All offsets and sizes as arrays, the frames' clip after clip: looking them up in the table costs a tenth of
        # decoding.
        frames = self.clips["frames"].to_numpy()
        self._starts = np.concatenate([[0], np.cumsum(frames)])
        self._offsets, self._sizes = (
            self.clips[name].combine_chunks().flatten().to_numpy() for name in ("jpeg_offsets", "jpeg_sizes")
        )
        self._members = {
            name: tuple(part.to_numpy() for part in self.clips[name].combine_chunks().flatten())
            for name in ("meta", "mel", "landmarks")
        }

    def _end(self) -> int:
        """Where the last member of the last clip ends."""
        if not len(self):
            return 0
        row = self.clips.slice(len(self) - 1).to_pylist()[0]
        members = [(row[name]["offset"], row[name]["size"]) for name in ("meta", "mel", "landmarks")]
        return max(sum(member) for member in [*members, (row["jpeg_offsets"][-1], row["jpeg_sizes"][-1])])

    @property
    def bands(self) -> int:
        """Number of bands, or features, of its sounds: from the size of the first one, without reading it."""
        columns = 4 * self.frame_count(0)
        header = len(npy_header((schema.MEL_BANDS, columns)))  # padded to one length for all shapes
        return (int(self._members["mel"][1][0]) - header) // (4 * columns)

    def __reduce__(self) -> tuple[type["ShardReader"], tuple[Path]]:
        return ShardReader, (self.path,)

    def __len__(self) -> int:
        return self.clips.num_rows

    def frame_count(self, clip: int) -> int:
        return int(self._starts[clip + 1] - self._starts[clip])

    def frames(self, clip: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames start .. stop - 1 as uint8 [n, S, S, 3] RGB."""
        at = range(start, self.frame_count(clip) if stop is None else stop)
        return np.stack([self._decoded(clip, data) for data in self._jpegs(clip, at)])

    def read_frames(self, clip: int, at: Sequence[int] | np.ndarray, out: Iterable[np.ndarray]) -> None:
        """Frames number `at` into the pictures of `out`, uint8 [S, S, 3] RGB, shrunk if these are smaller."""
        for data, place in zip(self._jpegs(clip, at), out, strict=True):
            self._decoded(clip, data, place)

    def _decoded(self, clip: int, data: memoryview, out: np.ndarray | None = None) -> np.ndarray:
        try:
            return decode_jpeg(data, out)
        except ValueError as error:
            raise InputError(f"{self.path}: clip {self.clips['clip_id'][clip]} has a broken frame") from error

    def _jpegs(self, clip: int, at: Sequence[int] | np.ndarray) -> Iterator[memoryview]:
        """Frames one by one; those that follow one another are read together."""
        count, rows = self.frame_count(clip), int(self._starts[clip])
        assert min(at) >= 0, (at, count)
        assert max(at) < count, (at, count)
        # Python integers: for the six frames of a window, numpy's call overhead exceeds the work.
        places = [(int(self._offsets[rows + n]), int(self._sizes[rows + n])) for n in at]
        first = 0
        for n, frame in enumerate(at, 1):
            if n == len(at) or at[n] != frame + 1:
                start, end = places[first][0], sum(places[n - 1])
                block = memoryview(self._read(start, end - start))
                for offset, size in places[first:n]:
                    yield block[offset - start :][:size]
                first = n

    def mel(self, clip: int) -> np.ndarray:
        """float32 [bands, 4 T]: mels in 0..1, or the features of a pretrained network."""
        data, shape = self._member("mel", clip), (self.bands, 4 * self.frame_count(clip))
        header = npy_header(shape)  # numpy would parse it as Python, which takes as long as decoding a frame
        if not data.startswith(header) or len(data) != len(header) + 4 * shape[0] * shape[1]:
            raise InputError(f"{self.path}: clip {self.clips['clip_id'][clip]} has a broken mel")
        mel = np.frombuffer(data, np.float32, offset=len(header)).reshape(shape).copy()  # torch needs writable memory
        if not np.isfinite(mel.sum()):
            raise InputError(f"{self.path}: clip {self.clips['clip_id'][clip]} has a broken mel")
        return mel

    def landmarks(self, clip: int) -> Landmarks:
        """Eyes, mouth, found and matrix of the T frames."""
        try:
            with np.load(io.BytesIO(self._member("landmarks", clip))) as arrays:
                return Landmarks(**{name: arrays[name] for name in ("eyes", "mouth", "found", "matrix")})
        except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self.path}: clip {self.clips['clip_id'][clip]} has broken landmarks") from error

    def meta(self, clip: int) -> dict[str, Any]:
        """The clip's row of the manifest, and what earlier stages measured."""
        return json.loads(self._member("meta", clip))  # type: ignore[no-any-return]

    def _member(self, name: str, clip: int) -> bytes:
        offsets, sizes = self._members[name]
        return self._read(int(offsets[clip]), int(sizes[clip]))

    def _read(self, offset: int, size: int) -> bytes:
        try:
            data = read_range(self.path, offset, size)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error})") from error
        if len(data) != size:
            raise InputError(f"{self.path}: the file ends early: {offset + size} bytes expected")
        return data


def open_shards(folder: str | Path, *, skip_broken: bool = False) -> list[ShardReader]:
    """Readers of all finished shards of a folder (one split), in the order of their names.

    Raises InputError if there are none, or if one is broken or has no stats because its writing was interrupted;
    with `skip_broken` the latter are left out and logged.
    """
    folder = located(folder) if isinstance(folder, str) else folder
    finished = (path.with_name(path.name.replace("_stats.json", ".tar")) for path in folder.glob("shard-*_stats.json"))
    tars = sorted({*folder.glob("shard-*.tar"), *finished})  # a missing tar is found by its other files
    if not tars:
        raise InputError(f"{folder}: no shards here")
    readers = []
    for tar in tars:
        try:
            readers.append(_open_finished(tar))
        except InputError as error:
            if not skip_broken:
                raise
            log.warning("%s; left out", error)
    return readers


def damaged_shards(folder: Path) -> list[str]:
    """The faults of the shards of a folder, one line each: every byte is read and compared with the sha256."""
    found = []
    for reader in open_shards(folder):
        expected = json.loads(stats_path(reader.path).read_text())["sha256"]
        with reader.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                found.append(f"{reader.path}: not the bytes that were written")
    return found


def _open_finished(tar: Path) -> ShardReader:
    if not stats_path(tar).exists():
        raise InputError(f"{tar}: not finished, {stats_path(tar).name} is missing")
    return ShardReader(tar)
