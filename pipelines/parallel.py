"""Many independent items, spread over Ray actors; one that fails, hangs or kills its process is a row like the rest."""

import contextlib
import logging
import math
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.child import Child, cpu_s
from pipelines.outcome import Failed, failed
from pipelines.resources import Resources, use_one_thread

__all__ = ["Failed", "Progress", "Usage", "parallel"]

Worker = Callable[[Any], Any]  # called with an item, returns its result
Progress = Callable[[float, float], None]  # how much is done, of how much

MOST_BLOCKS = 1000  # Ray Data keeps a record of every block; with more items than this a block holds several
MIN_TURNS = 8  # of each actor before it is given several items at once: few big ones must be spread evenly
MOST_ITEMS = 50_000  # that Ray is given at once, so that its records do not grow with the corpus


@dataclass
class Usage:
    """What the workers of one or several calls have used."""

    cpu_s: float = 0.0


def parallel(
    items: Sequence[Any],
    factory: Callable[..., Worker],
    settings: Mapping[str, Any],
    *,
    workers: int = 0,
    limit_s: float = 0.0,
    together: int = 1,
    resources: Resources | None = None,
    sizes: Sequence[float] | None = None,
    progress: Progress | None = None,
    usage: Usage | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """Yields (position of the item, result or `Failed`) for every item, in the order of completion.

    `factory(**settings)` is called once in each of the `workers` actors (0: as many as fit), and its result once per
    item. Items, settings and results are pickled; big results belong into files. Ray must be connected. At most a few
    items per worker are in progress or waiting to be taken. Workers are given `together` items at once: several if one
    takes milliseconds, which is the cost of handing it over.

    With a limit, the worker lives in a process of its own below the actor; an item that takes longer, or takes that
    process down, fails at once and is not retried. The actor itself can still be lost, with its machine: it is started
    again, and its items are retried; those that are lost twice are retried one by one, so that only an item that
    really takes down its actor counts as failed. `usage` is added to as results come. `progress` counts
    `sizes`, such as seconds of video, so that its forecast holds if items differ; by default each item is 1.

    A caller that may stop before the end closes the generator (`contextlib.closing`): that ends the workers.
    """
    pool = _Pool(factory, settings, workers, limit_s, together, resources or Resources(), usage or Usage())
    done, total = 0.0, float(len(items) if sizes is None else sum(sizes))
    for start in range(0, len(items), MOST_ITEMS):
        missing = set(range(start, min(start + MOST_ITEMS, len(items))))
        for position, result in _with_second_chances(pool, items, missing):
            done += 1 if sizes is None else sizes[position]
            if progress:
                progress(done, total)
            yield position, result


def _with_second_chances(pool: "_Pool", items: Sequence[Any], missing: set[int]) -> Iterator[tuple[int, Any]]:
    """A result for each of the missing items."""

    def run(positions: Sequence[int], *, singly: bool) -> Iterator[tuple[int, Any]]:
        for position, result in pool.run(items, positions, singly=singly):
            missing.discard(position)
            yield position, result

    for singly in (False, True):  # the second time one item a block, so that few are lost together
        yield from run(sorted(missing), singly=singly)
    for position in sorted(missing):
        yield from run([position], singly=True)
    for position in sorted(missing):
        yield position, Failed("its worker process died")


class _Pool:
    """How the items of one call are worked on."""

    def __init__(
        self,
        factory: Callable[..., Worker],
        settings: Mapping[str, Any],
        workers: int,
        limit_s: float,
        together: int,
        resources: Resources,
        usage: Usage,
    ) -> None:
        self._recipe = (factory, dict(settings), limit_s)
        self._workers, self._together, self._resources, self._usage = workers, together, resources, usage

    def run(self, items: Sequence[Any], positions: Sequence[int], *, singly: bool) -> Iterator[tuple[int, Any]]:
        """One pass of Ray Data over some of the items; the items of a lost actor are left out."""
        if not positions:
            return
        import ray  # not above: a child imports this module with its worker's, and starts seconds sooner without Ray
        import ray.data

        rows = [{"position": position, "item": pickle.dumps(items[position])} for position in positions]
        fitting = self._resources.fit(ray.cluster_resources())  # type: ignore[no-untyped-call]
        actors = min(self._workers or fitting, fitting, len(rows))
        blocks = max(math.ceil(len(rows) / self._together), min(len(rows), MIN_TURNS * actors))
        with _quiet_data():
            results = ray.data.from_items(
                rows, override_num_blocks=len(rows) if singly else min(blocks, MOST_BLOCKS)
            ).map(
                _Guarded,  # type: ignore[arg-type]
                fn_constructor_args=self._recipe,
                compute=ray.data.ActorPoolStrategy(size=actors),
                num_cpus=self._resources.num_cpus,
                num_gpus=self._resources.num_gpus,
                max_task_retries=0,  # else an item that kills its actor is retried forever
            )
            for row in results.iter_rows():
                self._usage.cpu_s += row["cpu_s"]
                yield row["position"], pickle.loads(row["result"])


class _Guarded:
    """The actor: one worker; its exceptions become results."""

    def __init__(self, factory: Callable[..., Worker], settings: dict[str, Any], limit_s: float) -> None:
        use_one_thread()
        if limit_s:
            child = Child(factory, settings)
            self._work: Worker = lambda item: child(item, limit_s)
        else:
            self._work = factory(**settings)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        before = cpu_s()
        try:
            result = self._work(pickle.loads(row["item"]))
        except Exception as error:
            result = failed(error)
        return {"position": row["position"], "result": pickle.dumps(result), "cpu_s": cpu_s() - before}


@contextlib.contextmanager
def _quiet_data() -> Iterator[None]:
    """Ray Data without its bars and notices (stages show their own), and going on when a worker dies."""
    from ray.data import DataContext

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
