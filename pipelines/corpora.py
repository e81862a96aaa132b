"""The video files of a corpus, and the people and splits of its layout.

Layouts are in `pipelines.layouts`; a table (CSV with the columns path, speaker, split) overrules them.
If no split is given, speakers are assigned by a hash of their names, independent of all others.
"""

import csv
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avcat.errors import InputError
from avcat.files import is_remote, located
from avcat.seeding import seed_of
from pipelines.clips import SPLITS
from pipelines.layouts import LAYOUTS, LISTED, NAMELESS, NO_SPEAKERS, listed
from pipelines.settings import DataConfig, SourceConfig

# Not clips, but might be taken for some.
SOUND_SUFFIXES = frozenset((".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"))
VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
        *(".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    )
)
MOST_OF_ONE = 0.5  # of a corpus's clips: a speaker with more of them may be none
FEW = 20  # clips, of which one speaker may have most


@dataclass(frozen=True)
class Source:
    """A video file of a corpus. `path` is below `root`, with forward slashes."""

    corpus: str
    root: str
    path: str
    speaker: str
    split: str


def find_sources(config: DataConfig) -> list[Source]:
    """The videos of all corpora, ordered by corpus and path. InputError if a corpus is missing or empty."""
    if not config.corpora:
        raise InputError("data.corpora: names none")
    for name in config.mix:
        if name not in config.corpora:
            raise InputError(f"data.mix.{name}: no such corpus, there are {', '.join(sorted(config.corpora))}")
    return [source for name in sorted(config.corpora) for source in _find(name, config.corpora[name], config)]


def _find(corpus: str, source: SourceConfig, config: DataConfig) -> Iterator[Source]:
    root = located(source.root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder (data.corpora.{corpus})")
    found = [
        Source(corpus, source.root, path, speaker, split)
        for path in media_below(root, VIDEO_SUFFIXES | SOUND_SUFFIXES if source.kind == "folder" else VIDEO_SUFFIXES)
        for speaker, split in LAYOUTS[source.kind](path.split("/"))
    ]
    if source.kind in LISTED and (splits := listed(root, [(clip.path, clip.speaker) for clip in found])):
        found = [replace(clip, split=splits.get(clip.speaker, "train")) for clip in found]
    if source.table:
        found = _by_table(found, located(source.table))
    if not found:
        raise InputError(f"{root}: no video as the layout {source.kind!r} has them (data.corpora.{corpus})")
    _check_speakers(corpus, found, source)
    for clip in _deal(found, config.val_fraction, config.test_fraction):
        if clip.split != "train" or share_of(corpus, clip.path) < config.mix.get(corpus, 1.0):
            yield clip


def _check_speakers(corpus: str, found: Sequence[Source], source: SourceConfig) -> None:
    """Raises InputError if a speaker's name is that of a split, or one person is in two splits."""
    splits: dict[str, set[str]] = {}
    for clip in found:
        splits.setdefault(clip.speaker, set()).add(clip.split)
    hint = f"choose another `kind` (data.corpora.{corpus}), or give a `table` of speakers and splits"
    if strange := sorted(name for name in splits if name.lower() in NO_SPEAKERS):
        raise InputError(f"{source.root}: as {source.kind!r} has it, {strange[0]!r} would be a speaker; {hint}")
    both = sorted(name for name, of in splits.items() if len(of) > 1)
    if both and source.kind not in NAMELESS and not source.one_person:
        where = " and ".join(sorted(splits[both[0]]))
        raise InputError(f"{source.root}: speaker {both[0]!r} is in {where}; name two people apart; {hint}")


def check_splits(sources: Sequence[Source]) -> None:
    """Raises InputError if a split has no clip at all: nothing could be trained, chosen or tested."""
    there = {source.split for source in sources}
    if missing := [split for split in SPLITS if split not in there]:
        raise InputError(
            f"data.corpora: no clip is in {missing[0]}; a corpus needs three speakers for three splits, or a `table`"
        )


def strange(sources: Sequence[Source]) -> list[str]:
    """What may be wrong with a corpus, a line each: a split that is empty, one speaker with most of its files."""
    found = []
    for corpus in sorted({source.corpus for source in sources}):
        there = {source.split for source in sources if source.corpus == corpus}
        found += [f"{corpus}: nothing of it is in {split}" for split in SPLITS if split not in there]
        counts = Counter(source.speaker for source in sources if source.corpus == corpus)
        (most, times), total = counts.most_common(1)[0], counts.total()
        if len(counts) > 1 and total >= FEW and times > MOST_OF_ONE * total:
            found.append(f"{corpus}: {times} of {total} files are of one speaker, {most!r}; is that a person?")
    return found


def media_below(root: Path, suffixes: Collection[str] = VIDEO_SUFFIXES) -> list[str]:
    """The paths of all files with these suffixes, sorted. Folders that are links are followed, each folder once."""
    if is_remote(root):
        names = [name.removeprefix(root.path).lstrip("/") for name in root.fs.find(root.path)]  # type: ignore[attr-defined]
        return sorted(name for name in names if _counts(name.rsplit("/", 1)[-1], suffixes))
    found, seen = [], set()

    def unreadable(error: OSError) -> None:
        """A folder that cannot be listed is reported as if it were a clip."""
        if Path(error.filename) == root:
            raise InputError(f"{root}: cannot be read ({error.strerror})")
        found.append(_below(Path(error.filename), root))

    for folder, below, files in os.walk(root, followlinks=True, onerror=unreadable):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()  # a link to a folder already visited
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [_below(Path(folder, name), root) for name in files if _counts(name, suffixes)]
    return sorted(found)


def _below(path: Path, root: Path) -> str:
    """Below the root, with forward slashes. A name that is not UTF-8 is reported, and will not be found."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _counts(name: str, suffixes: Collection[str]) -> bool:
    return Path(name).suffix.lower() in suffixes and not name.startswith(".")


def share_of(*names: str) -> float:
    """Where a name falls in 0..1, by its hash."""
    return seed_of("share", *names) / 2**63


def _by_table(found: Sequence[Source], table: Path) -> list[Source]:
    """The sources that a CSV names, with its speakers and splits."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before the first column
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read as a table of clips ({error})") from error
    by_path = {source.path: source for source in found}
    chosen: dict[str, Source] = {}
    for number, row in enumerate(rows, 2):
        if "path" not in row:
            raise InputError(f"{table}: has no column 'path', but {', '.join(map(str, row))}")
        if row["path"] in chosen:
            raise InputError(f"{table}: line {number} names {row['path']!r} again")
        if not row.get("path") or row["path"] not in by_path:
            raise InputError(f"{table}: line {number} names no video of the corpus: {row.get('path')!r}")
        split = row.get("split") or ""
        if split not in ("", *SPLITS):
            raise InputError(f"{table}: line {number}: split {split!r} is not one of {', '.join(SPLITS)}")
        source = by_path[row["path"]]
        chosen[source.path] = replace(source, speaker=row.get("speaker") or source.speaker, split=split)
    return list(chosen.values())


# ---------------------------------------------------------------------------------------------------------------------
# Splits that the layout does not give


def _deal(found: Sequence[Source], val: float, test: float) -> list[Source]:
    """Gives every source a split: those of the layout stay, `dev` becomes train and val, "" all three."""
    parts = {"": {"test": test, "val": val}, "dev": {"val": val}}
    dealt = {
        given: deal({source.speaker for source in found if source.split == given}, shares, found[0].corpus)
        for given, shares in parts.items()
    }
    return [
        replace(source, split=dealt[source.split][source.speaker]) if source.split in dealt else source
        for source in found
    ]


def deal(speakers: Iterable[str], shares: Mapping[str, float], corpus: str) -> dict[str, str]:
    """The split of each speaker: by the hash of the name, so that no one moves if others are added.

    `shares` is the part of each split except train. A split that would stay empty gets one speaker, as long as
    train keeps one.
    """
    at = {speaker: share_of(corpus, speaker) for speaker in speakers}
    left = sorted(at, key=lambda speaker: (at[speaker], speaker))
    split_of: dict[str, str] = {}
    start = 0.0
    for split, share in shares.items():
        taken = [speaker for speaker in left if start <= at[speaker] < start + share]
        if not taken and share > 0:
            taken = left[:1]
        taken = taken[: len(left) - 1]
        split_of |= dict.fromkeys(taken, split)
        left = [speaker for speaker in left if speaker not in split_of]
        start += share
    return split_of | dict.fromkeys(left, "train")
