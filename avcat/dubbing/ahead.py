"""Prefetching: iterators that run in their own threads while the consumer processes earlier items."""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Done = TypeVar("Done")

_PATIENCE_S = 0.1  # how soon a thread notices that its consumer has stopped


class _End:
    """Last item in the queue: end of the iterator, or its error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """The same items in the same order, up to `depth` of them prefetched.

    What `items` raises is raised here, at its place. If the consumer stops early (`close`, or an error), the thread
    ends after the current item and closes `items`, before `close` returns.
    """
    made: queue.Queue[T | _End] = queue.Queue(depth)
    unwanted = threading.Event()

    def offer(item: T | _End) -> None:
        while not unwanted.is_set():
            with contextlib.suppress(queue.Full):
                made.put(item, timeout=_PATIENCE_S)
                return

    def make() -> None:
        end = _End()
        try:
            for item in items:
                offer(item)
                if unwanted.is_set():
                    break
        except BaseException as error:  # also KeyboardInterrupt: it belongs to the consumer
            end = _End(error)
        finally:
            if hasattr(items, "close"):
                items.close()
        offer(end)

    def take() -> Generator[T, None, None]:
        worker = threading.Thread(target=make, name="ahead", daemon=True)
        worker.start()
        try:
            while not isinstance(item := made.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            unwanted.set()
            worker.join()

    return take()


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
