"""Many independent items, spread over Ray actors; one that fails, or kills its process, is a row like the rest."""

import contextlib
import logging
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from pipelines.outcome import Failed, failed
from pipelines.resources import Resources, use_one_thread

__all__ = ["Failed", "Progress", "parallel"]

Worker = Callable[[Any], Any]  # called with an item, returns its result
Progress = Callable[[int, int], None]  # how many are done, of how many

MOST_BLOCKS = 1000  # Ray Data keeps books on every block; with more items than this a block holds several


def parallel(
    items: Sequence[Any],
    factory: Callable[..., Worker],
    settings: Mapping[str, Any],
    *,
    workers: int = 0,
    resources: Resources | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yields (position of the item, result or `Failed`) for every item, in the order in which they get done.

    `factory(**settings)` is called once in each of the `workers` actors (0: as many as fit) and what it returns once an
    item. Items, settings and results are pickled; big results belong into files. Ray must be connected. At most a few
    items a worker are under way or waiting to be taken. A worker that dies takes along what it worked on and what
    waited for it. It is started again and these are tried again; what is lost a second time is tried alone, so that
    only an item that really kills its worker counts as failed.
    """
    resources = resources or Resources()
    done = 0
    missing = set(range(len(items)))

    def run(positions: Sequence[int], most_blocks: int) -> Iterator[tuple[int, Any]]:
        nonlocal done
        for position, result in _run(items, positions, factory, settings, workers, resources, most_blocks):
            missing.discard(position)
            done += 1
            if progress:
                progress(done, len(items))
            yield position, result

    for most_blocks in (MOST_BLOCKS, len(items)):
        yield from run(sorted(missing), most_blocks)
    for position in sorted(missing):
        yield from run([position], 1)
    for position in sorted(missing):
        done += 1
        if progress:
            progress(done, len(items))
        yield position, Failed("its worker process died")


def _run(
    items: Sequence[Any],
    positions: Sequence[int],
    factory: Callable[..., Worker],
    settings: Mapping[str, Any],
    workers: int,
    resources: Resources,
    most_blocks: int,
) -> Iterator[tuple[int, Any]]:
    """One pass of Ray Data over some of the items; what a dying worker held in its hands is left out."""
    if not positions:
        return
    rows = [{"position": position, "item": pickle.dumps(items[position])} for position in positions]
    fitting = max(1, int(ray.cluster_resources().get("CPU", 1) / resources.num_cpus))  # type: ignore[no-untyped-call]
    pool = ActorPoolStrategy(size=min(workers or fitting, fitting, len(rows)))
    with _quiet_data():
        results = ray.data.from_items(rows, override_num_blocks=min(len(rows), most_blocks)).map(
            _Guarded,  # type: ignore[arg-type]
            fn_constructor_args=(factory, dict(settings)),
            compute=pool,
            num_cpus=resources.num_cpus,
            num_gpus=resources.num_gpus,
            max_task_retries=0,  # else an item that kills its worker is tried for ever
        )
        for row in results.iter_rows():
            yield row["position"], pickle.loads(row["result"])


class _Guarded:
    """The actor: one worker, whose exceptions become results."""

    def __init__(self, factory: Callable[..., Worker], settings: dict[str, Any]) -> None:
        use_one_thread()
        self._work = factory(**settings)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self._work(pickle.loads(row["item"]))
        except Exception as error:
            result = failed(error)
        return {"position": row["position"], "result": pickle.dumps(result)}


@contextlib.contextmanager
def _quiet_data() -> Iterator[None]:
    """Ray Data without its bars and notices (stages show their own), and going on when a worker dies."""
    logger = logging.getLogger("ray.data")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it warns of its own options when it copies them
        context = DataContext.get_current()
        before = context.enable_progress_bars, context.max_errored_blocks
        context.enable_progress_bars, context.max_errored_blocks = False, -1
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            context.enable_progress_bars, context.max_errored_blocks = before
            logger.setLevel(level)
