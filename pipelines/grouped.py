"""Work on every clip, kept shard by shard: one file per shard, written and marked as soon as its last clip is done.

Files stay in the state folder until all are complete, so that an interrupted run resumes from what is marked.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from avcat.files import move, remove_tree
from pipelines.clips import Rows, by_shard, video_seconds
from pipelines.outcome import Outcome, read_outcomes, write_outcomes
from pipelines.parallel import Progress, Usage, Worker, parallel
from pipelines.resources import Resources
from pipelines.state import fingerprint, is_done, mark_done

OUTCOMES = "outcomes.parquet"
Write = Callable[[Path, Sequence[Mapping[str, Any]], Sequence[Any]], list[Outcome]]


def work_grouped(
    clips: Rows,
    factory: Callable[..., Worker],
    settings: Mapping[str, Any],
    write: Write,
    *,
    suffix: str,
    state: Path,
    made_of: str,
    workers: int,
    limit_s: float,
    together: int = 1,
    usage: Usage,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Leaves `state/<shard><suffix>` for every shard of the clips; returns the outcomes of all clips.

    `write(path, rows, results)` writes the file of one shard and returns the outcomes of its clips. `made_of` is the
    fingerprint of settings and code: files that were made of something else are made again.
    """
    groups = by_shard(clips)
    inputs = {name: fingerprint(made_of, rows.table.to_pylist()) for name, rows in groups.items()}
    waiting = {
        name: rows
        for name, rows in groups.items()
        if not is_done(state / f"{name}.done", inputs[name], state / f"{name}{suffix}", state / f"{name}.{OUTCOMES}")
    }
    options = {
        "workers": workers,
        "limit_s": limit_s,
        "together": together,
        "resources": resources,
        "progress": progress,
        "usage": usage,
    }
    with closing(_done_groups(waiting, factory, settings, options)) as done:
        for name, rows, results in done:
            write_outcomes(state / f"{name}.{OUTCOMES}", write(state / f"{name}{suffix}", rows, results))
            mark_done(state / f"{name}.done", inputs[name])
    return [outcome for name in groups for outcome in read_outcomes(state / f"{name}.{OUTCOMES}")]


def publish(clips: Rows, outcomes: Sequence[Outcome], *, suffix: str, state: Path, out: Path) -> None:
    """Moves the files of all shards to the folder `out`, with the outcomes of all clips, and removes the state.

    Files of earlier runs for shards that no longer exist are removed.
    """
    names = {f"{name}{suffix}" for name in by_shard(clips)}
    remove_others(out, names | {OUTCOMES}, f"*{suffix}")
    for name in sorted(names):
        move(state / name, out / name)
    write_outcomes(out / OUTCOMES, outcomes)
    remove_tree(state)


def remove_others(folder: Path, names: Collection[str], pattern: str) -> None:
    """Removes the files of a folder that match `pattern` and are not among `names`."""
    for path in folder.glob(pattern) if folder.is_dir() else ():
        if path.name not in names:
            path.unlink()


def _done_groups(
    groups: Mapping[str, Rows], factory: Callable[..., Worker], settings: Mapping[str, Any], options: Mapping[str, Any]
) -> Generator[tuple[str, list[dict[str, Any]], list[Any]], None, None]:
    """(name, rows, results in the order of the rows) of each group, as soon as its last clip is done."""
    items = _Chained(groups)
    results: dict[str, dict[int, Any]] = {}
    for position, result in parallel(items, factory, settings, sizes=items.seconds, **options):
        name, place = items.place(position)
        group = results.setdefault(name, {})
        group[place] = result
        if len(group) == len(groups[name]):
            del results[name]
            yield name, groups[name].table.to_pylist(), [group[place] for place in range(len(group))]


class _Chained(Sequence[dict[str, Any]]):
    """The rows of several groups, one after the other."""

    def __init__(self, groups: Mapping[str, Rows]) -> None:
        self._groups = groups
        self._places = [(name, place) for name, rows in groups.items() for place in range(len(rows))]
        self.seconds = [seconds for rows in groups.values() for seconds in video_seconds(rows)]

    def __len__(self) -> int:
        return len(self._places)

    def place(self, position: int) -> tuple[str, int]:
        """The group of a row, and its place there."""
        return self._places[position]

    def __getitem__(self, position: int) -> dict[str, Any]:  # type: ignore[override]
        name, place = self._places[position]
        return self._groups[name][place]
