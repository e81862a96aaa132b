"""Prefetching: work that runs in its own threads while the consumer processes earlier items."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Done = TypeVar("Done")


def ahead(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """The same items in the same order, up to `depth` of them prefetched, and one more in the making.

    What `items` raises is raised here, at its place. If the consumer stops early (`close`, or an error), the thread
    ends after the current item and closes `items`, before `close` returns.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1, "ahead") as pool:
        try:
            while True:
                while len(waiting) < depth + 2:
                    waiting.append(pool.submit(next, items))
                try:
                    item = waiting.popleft().result()
                except StopIteration:
                    return
                yield item
        finally:
            for future in waiting:
                future.cancel()
            if hasattr(items, "close"):
                pool.submit(items.close)


def side_by_side(
    work: Callable[[T], Done], items: Iterable[T], workers: int, start: Callable[[], None] | None = None
) -> Generator[Done, None, None]:
    """`work` of each item, in the order of the items, in `workers` threads; each thread calls `start` first.

    The items are made here, one more than there are threads. What `work` or `items` raises is raised here, at its
    place. Running work is finished before that, and also if the consumer stops early.
    """
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(workers, "side-by-side", start) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
