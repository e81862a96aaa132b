"""How corpora lie on a disk: a function per layout, from a path's parts below the root to its speaker and split.

    folder      any tree of videos. If its first folders are named like splits (`SPLIT_NAMES`) they are the splits, with
                a folder per speaker below; else the first folder, or the file itself if there is none, is the speaker.
    lrw         [lipread_mp4/]WORD/<train|val|test>/WORD_00001.mp4, split by the corpus itself. It names no speakers, so
                each clip counts as one.
    lrs2        [mvlrs_v1/]<main|pretrain>/SPEAKER/00001.mp4. Its lists, train.txt, val.txt and test.txt in the root,
                give the splits: a speaker of whom one clip is tested is in test with all clips.
    lrs3        <pretrain|trainval|test>/SPEAKER/00001.mp4. The first two are split further into train and val.
    voxceleb    [<dev|test>/][mp4/]SPEAKER/VIDEO/00001.mp4. VoxCeleb2 is split by folder, VoxCeleb1 by name: speakers
                with E, or id10270 to id10309, are the test set (its verification split). The rest is split further
                into train and val.

The split is empty if the layout gives none, `dev` if it gives train and val together. To add a layout, write its
function and name it in `LAYOUTS` and in `pipelines.settings.SourceConfig` (docs/extending.md).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from avcat.errors import InputError
from pipelines.clips import SPLITS

# As folders are spelt, without case.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
NO_SPEAKERS = {"main", "pretrain", "trainval", *SPLIT_NAMES}  # folders of that name are no people
VOXCELEB1_TEST = re.compile(r"E|id10(2[7-9]\d|30\d)$")

Placed = Iterator[tuple[str, str]]  # (speaker, split), or nothing for a file that is no clip


def _folder(parts: Sequence[str]) -> Placed:
    if parts[0].lower() in SPLIT_NAMES and len(parts) > 2:
        yield parts[1], SPLIT_NAMES[parts[0].lower()]
    else:
        yield parts[0], ""


def _lrw(parts: Sequence[str]) -> Placed:
    if len(parts) >= 3 and parts[-2].lower() in SPLIT_NAMES:
        yield Path(parts[-1]).stem, SPLIT_NAMES[parts[-2].lower()]


def _lrs2(parts: Sequence[str]) -> Placed:
    if len(parts) >= 3 and parts[-3].lower() in ("main", "pretrain"):
        yield parts[-2], ""


def _lrs3(parts: Sequence[str]) -> Placed:
    if len(parts) >= 3 and (folder := parts[-3].lower()) in ("pretrain", "trainval", "test"):
        yield parts[-2], "test" if folder == "test" else "dev"


def _voxceleb(parts: Sequence[str]) -> Placed:
    if len(parts) < 3:
        return
    speaker, above = parts[-3], [part.lower() for part in parts[:-3]]
    if "test" in above or ("dev" not in above and VOXCELEB1_TEST.match(speaker)):
        yield speaker, "test"
    else:
        yield speaker, "dev"


LAYOUTS: Mapping[str, Callable[[Sequence[str]], Placed]] = {
    "folder": _folder,
    "lrw": _lrw,
    "lrs2": _lrs2,
    "lrs3": _lrs3,
    "voxceleb": _voxceleb,
}
NAMELESS = ("lrw",)  # layouts that name no people, but number clips anew in every split
LISTED = ("lrs2",)  # layouts with lists of clips per split in the root


def listed(root: Path, clips: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The split of each speaker by the lists in the root, of (path, speaker) pairs; empty if there are no lists.

    A line of a list is SPEAKER/CLIP, perhaps with more behind a space. Of a speaker in several lists the rarer counts,
    so no one is on two sides. Raises InputError if a list names no clip that is there.
    """
    lists = {split: root / f"{split}.txt" for split in SPLITS if (root / f"{split}.txt").is_file()}
    names = {"/".join(Path(path).with_suffix("").parts[-2:]): speaker for path, speaker in clips}
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):  # a later one overrules
        if split in lists:
            lines = [line.split()[0] for line in lists[split].read_text().splitlines() if line.strip()]
            speakers = {names[line] for line in lines if line in names}
            if lines and not speakers:
                raise InputError(f"{lists[split]}: names no clip that is there, but {lines[0]}, for instance")
            found |= dict.fromkeys(speakers, split)
    return found
