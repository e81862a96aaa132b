"""Work done ahead: the same items, errors at their place, and no thread left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from avcat.ahead import ahead, side_by_side


def alive() -> int:
    return sum(thread.name.startswith(("ahead", "side-by-side")) for thread in threading.enumerate())


def noted(made: list[int]) -> Iterator[int]:
    """Fifty numbers, each noted when it is made."""
    for n in range(50):
        made.append(n)
        yield n


def test_the_same_items_in_order() -> None:
    assert list(ahead(iter(range(100)), 3)) == list(range(100))
    assert list(ahead(iter(()), 1)) == []
    assert alive() == 0


def test_it_works_ahead_but_no_further_than_told() -> None:
    made: list[int] = []
    taken = ahead(noted(made), 4)
    assert next(taken) == 0
    deadline = time.monotonic() + 5
    while len(made) < 6 and time.monotonic() < deadline:  # one taken, four waiting, one in hand
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == list(range(6))
    taken.close()
    assert alive() == 0


def test_an_error_comes_where_it_would_have() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("boom")

    taken = ahead(items(), 10)
    assert [next(taken) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="boom"):
        next(taken)
    assert alive() == 0


def test_closing_closes_what_it_reads_from() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    chain = ahead(ahead(items(), 2), 2)
    assert next(chain) == 0
    chain.close()
    assert closed == ["ahead_0"]
    assert alive() == 0


def test_work_side_by_side_comes_back_in_order() -> None:
    both = threading.Barrier(2, timeout=5)  # passed by two at once only
    started = []

    def work(n: int) -> int:
        both.wait()
        time.sleep(0.01 * (n % 2))
        return n * n

    done = side_by_side(work, range(20), 2, lambda: started.append(threading.current_thread().name))
    assert list(done) == [n * n for n in range(20)]
    assert len(set(started)) == 2
    assert alive() == 0


def test_one_worker_works_in_order() -> None:
    seen: list[int] = []
    assert list(side_by_side(seen.append, range(50), 1)) == [None] * 50
    assert seen == list(range(50))


def test_items_are_taken_no_further_ahead_than_one_more_than_threads() -> None:
    made: list[int] = []
    done = side_by_side(lambda n: n, noted(made), 2)
    assert next(done) == 0
    assert made == [0, 1, 2]
    done.close()
    assert alive() == 0


def test_what_fails_side_by_side_is_raised_at_its_place() -> None:
    done = side_by_side(lambda n: 6 // n, iter([3, 2, 0, 1]), 2)
    assert [next(done), next(done)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(done)
    assert alive() == 0
