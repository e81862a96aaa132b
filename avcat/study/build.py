"""Renders a study: pairs of test clips, one for the picture and one for the sound, by every method.

The setting is the paper's cross-video one: the sound is of another test clip, and of another person, of the same
corpus. Such a pair has no true picture, so the ground truth is the clip that the sound comes from, unchanged: real lips
that match this sound, encoded like the others.
"""

import hmac
import json
import logging
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import pyarrow as pa

from avcat.checkpoint import read_facts
from avcat.data.schema import MANIFEST
from avcat.data.shards import open_shards
from avcat.dubbing import Dubber
from avcat.dubbing.portrait import chosen, portrait
from avcat.dubbing.speech import Speech
from avcat.errors import InputError
from avcat.face.align import invert, warp
from avcat.face.track import find_people
from avcat.files import local_copy, located, read_table, sha256_of, write
from avcat.media.audio import audio_duration, load_audio
from avcat.media.video import decode, decode_at, probe
from avcat.media.writer import VideoWriter
from avcat.methods import find, network_of
from avcat.methods.generator import Generator
from avcat.methods.makeittalk.run import PortraitTalker
from avcat.metrics.drawers import check_checkpoint
from avcat.metrics.results import GROUND_TRUTH
from avcat.seeding import seed_of
from avcat.study.plan import CLIPS, Clip, Study, clip_path

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # clips done, clips in all
PLAN = "plan.json"  # arguments of the build: another build into the same folder must have the same
CLIPS_PER_CORPUS = 20  # paper, section 4.2.1
_ENCODING: dict[str, Any] = {"crf": 17, "preset": "veryfast"}  # as in dubbing: artefacts must not reveal the method
_CUT_CRF = 8  # of clips cut out of longer files, which are encoded again
_CUT_RATE = 48_000
_SOFT = 16  # the edge of an animated portrait fades over this part of its side
_TALKER_BATCH = 8

Row = dict[str, Any]  # of the manifest


class Pair(NamedTuple):
    """The clip of the picture and the clip of the sound."""

    video: Row
    sound: Row


class Renderer(Protocol):
    """One method: a video and a sound in, an MP4 file out. Raises InputError if that fails."""

    def __call__(self, video: Path, sound: Path, out: Path, /) -> object: ...


def build_study(
    root: Path,
    folder: Path,
    models: Mapping[str, Path],
    *,
    clips_per_corpus: int = CLIPS_PER_CORPUS,
    seed: int = 0,
    truth: bool = True,
    device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> Study:
    """Renders `clips_per_corpus` pairs of each corpus below `root` (`out/<profile>`) by every model, into `folder`.

    Existing clips are not rendered again, so an interrupted build continues. A pair that one method cannot draw is left
    out for all, so that all are rated on the same pairs; its reason is in `study.json`. Raises InputError if an input
    cannot be used, or `folder` holds a study of something else.
    """
    for model in models.values():
        check_checkpoint(model)
    pairs = choose_pairs(test_clips(root), clips_per_corpus, seed)
    methods = (*models, GROUND_TRUTH) if truth else tuple(models)
    asked = {
        "seed": seed,
        "methods": {name: sha256_of(models[name]) if name in models else "" for name in methods},
        "pairs": [[pair.video["clip_id"], pair.sound["clip_id"]] for pair in pairs],
    }
    salt = _salt(folder, asked)
    named = {method: [Clip(_opaque(salt, method, pair), method, *_names(pair)) for pair in pairs] for method in methods}
    failed: dict[int, str] = {}
    total = len(methods) * len(pairs)
    with Material() as material:
        for turn, method in enumerate(methods):
            render: Renderer | None = None  # built only if something is left to do: a network takes seconds
            for number, (clip, pair) in enumerate(zip(named[method], pairs, strict=True)):
                out = clip_path(folder, clip.clip)
                if number not in failed and not out.exists():
                    render = render or renderer(models.get(method), device)
                    try:
                        render(material.file(pair.video), material.file(pair.sound), out)
                    except InputError as error:
                        failed[number] = f"{pair.video['clip_id']} + {pair.sound['clip_id']}: {method}: {error}"
                        log.warning("left out: %s", failed[number])
                progress(turn * len(pairs) + number + 1, total)
    kept = tuple(clip for clips in named.values() for n, clip in enumerate(clips) if n not in failed)
    if not kept:
        raise InputError(f"{folder}: no pair could be drawn by all methods; the first: {next(iter(failed.values()))}")
    study = Study(seed, methods, kept, tuple(failed.values()))
    study.write(folder)
    return study


def test_clips(root: Path) -> list[Row]:
    """The manifest's rows of the test clips that have a face: those in the test shards. Raises InputError."""
    path = root / "manifest.parquet"
    try:
        rows: list[Row] = read_table(path, schema=MANIFEST).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {error}".splitlines()[0]) from error
    usable = {clip for reader in open_shards(root / "shards" / "test") for clip in reader.clips["clip_id"].to_pylist()}
    return [row for row in rows if row["clip_id"] in usable]


def choose_pairs(rows: Sequence[Row], per_corpus: int, seed: int) -> list[Pair]:
    """Up to `per_corpus` clips of each corpus, of as many people as possible, each with another person's sound.

    Depends on content and `seed`, not on the order of `rows`. Raises InputError if a corpus has only one speaker.
    """
    pairs = []
    for corpus in sorted({row["corpus"] for row in rows}):
        clips = [row for row in rows if row["corpus"] == corpus]
        if len({row["speaker"] for row in clips}) < 2:
            raise InputError(f"{corpus}: two test speakers are needed, one to be seen and one to be heard")
        turns: Counter[str] = Counter()
        ranked = []
        for row in sorted(clips, key=lambda row: seed_of("study-video", seed, row["clip_id"])):
            turns[row["speaker"]] += 1
            ranked.append((turns[row["speaker"]], row))
        seen = [row for _, row in sorted(ranked, key=lambda pair: pair[0])[:per_corpus]]
        pairs += [Pair(row, _sound_for(row, clips, seed)) for row in sorted(seen, key=lambda row: row["clip_id"])]
    return pairs


def _sound_for(video: Row, clips: Iterable[Row], seed: int) -> Row:
    others = (row for row in clips if row["speaker"] != video["speaker"])
    return min(others, key=lambda row: seed_of("study-sound", seed, video["clip_id"], row["clip_id"]))


class Material:
    """The clips of a manifest as files on this machine; parts of longer files are cut out, once."""

    def __enter__(self) -> "Material":
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="avcat-study-")))
        self._files: dict[str, Path] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def file(self, row: Row) -> Path:
        """Raises InputError if it cannot be read."""
        if row["clip_id"] not in self._files:
            path = self._stack.enter_context(local_copy(located(row["root"]) / row["path"]))
            if (row["start_s"], row["end_s"]) != (0.0, row["duration_s"]):
                path = _cut(path, row["start_s"], row["end_s"], self._folder / f"{row['clip_id']}.mp4")
            self._files[row["clip_id"]] = path
        return self._files[row["clip_id"]]


def _cut(path: Path, start_s: float, end_s: float, out: Path) -> Path:
    info = probe(path)
    sound = load_audio(path, _CUT_RATE, start_s, end_s), _CUT_RATE
    with VideoWriter(out, info.width, info.height, fps=info.fps, audio=sound, crf=_CUT_CRF) as writer:
        for frame in decode_at(path, float(info.fps), start_s, end_s):
            writer.write(frame.image)
    return out


def renderer(model: Path | None, device: str) -> Renderer:
    """The renderer of `model`; None: the ground truth, the clip that the sound comes from."""
    if model is None:
        return show_sound_source
    kind = read_facts(model).kind
    if not issubclass(network_of(kind), Generator):
        talker = find(kind, "run", "RUN").from_checkpoint(model, device, _TALKER_BATCH)
        return lambda video, sound, out: animate(talker, video, sound, out)
    dubber = Dubber.from_checkpoint(model, device)
    return dubber.dub


def show_sound_source(_video: Path, sound: Path, out: Path) -> None:
    """Writes the clip that the sound comes from, with picture and sound unchanged."""
    info = probe(sound)
    with VideoWriter(out, info.width, info.height, fps=info.fps, audio=sound, **_ENCODING) as writer:
        for frame in decode_at(sound, float(info.fps), end_s=audio_duration(sound)):
            writer.write(frame.image)


def animate(talker: PortraitTalker, video: Path, sound: Path, out: Path) -> None:
    """MakeItTalk animates one frame: the first one with a face; the rest of the picture stands still."""
    info, speech = probe(video), Speech(sound, talker.mel)
    still, matrix = _portrait(talker, video)
    times_s = np.arange(ceil(speech.duration_s * info.fps)) / float(info.fps)
    crops = talker.talk(warp(still, matrix, talker.crop_size), speech.windows(times_s))
    with VideoWriter(out, info.width, info.height, fps=info.fps, audio=sound, **_ENCODING) as writer:
        for crop in crops:
            writer.write(put_back(still, crop, matrix))


def _portrait(talker: PortraitTalker, video: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first frame with a face, uint8 [height, width, 3], and its similarity to the crop, float64 [2, 3]."""
    for frame in decode(video):
        seen = find_people([(0.0, frame.image)], talker.detector)
        for person in chosen(seen, "largest"):
            return frame.image, portrait(person, seen.times_s, talker.align, talker.crop_size).matrices[0]
    raise InputError(f"{video}: no face in any of its frames")


def put_back(image: np.ndarray, crop: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Pastes the whole of `crop` uint8 [S, S, 3] into `image` uint8 [height, width, 3] at its place by `matrix`.

    Unlike `avcat.dubbing.paste`, which pastes only the redrawn region. The edge is soft.
    """
    size, shape = crop.shape[0], (image.shape[1], image.shape[0])
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) * _SOFT / size, 0, 1).astype(np.float32)
    back = invert(matrix)
    drawn = cv2.warpAffine(crop, back, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(np.minimum.outer(ramp, ramp), back, shape, flags=cv2.INTER_LINEAR)[:, :, None]
    return (image + weight * (drawn.astype(np.float32) - image) + 0.5).astype(np.uint8)


def _salt(folder: Path, asked: dict[str, Any]) -> str:
    """Secret of this study: without it, file names cannot be matched to known methods and clips."""
    path = folder / PLAN
    if not path.exists():
        (folder / CLIPS).mkdir(parents=True, exist_ok=True)
        write(path, json.dumps({"salt": secrets.token_hex(16), "asked": asked}, indent=1) + "\n")
    try:
        plan = json.loads(path.read_text())
        salt, before = str(plan["salt"]), plan["asked"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the plan of a study ({error})") from error
    if before != asked:
        different = ", ".join(name for name in asked if before.get(name) != asked[name])
        raise InputError(f"{folder}: holds a study of something else ({different}); take another folder")
    return salt


def _opaque(salt: str, method: str, pair: Pair) -> str:
    text = f"{method}/{pair.video['clip_id']}/{pair.sound['clip_id']}".encode()
    return hmac.digest(salt.encode(), text, "sha256")[:8].hex()


def _names(pair: Pair) -> tuple[str, str, str]:
    return pair.video["corpus"], pair.video["clip_id"], pair.sound["clip_id"]
