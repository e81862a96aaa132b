"""Work done ahead: the same items, errors at their place, and no thread left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from avcat.dubbing.ahead import ahead


def alive() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_the_same_items_in_order() -> None:
    assert list(ahead(iter(range(100)), 3)) == list(range(100))
    assert list(ahead(iter(()), 1)) == []
    assert alive() == 0


def test_it_works_ahead_but_no_further_than_told() -> None:
    made = []

    def items() -> Iterator[int]:
        for n in range(50):
            made.append(n)
            yield n

    taken = ahead(items(), 4)
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
    assert closed == ["ahead"]
    assert alive() == 0
