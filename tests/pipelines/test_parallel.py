"""Every item ends as a result or as a row with the reason."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.outcome import Failed
from pipelines.parallel import parallel
from pipelines.resources import Resources


def doubler() -> type:
    """The class, made here so that it travels by value: workers cannot import a test."""

    class Doubler:
        def __init__(self, memory: Path) -> None:
            self.memory = memory

        def __call__(self, item: int) -> int:
            """Doubles; raises on -1, dies on -2, dies on -3 only the first time."""
            if item == -1:
                raise ValueError("minus one\nand more lines")
            if item == -2 or (item == -3 and not self.memory.exists()):
                self.memory.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return 2 * item

    return Doubler


@pytest.fixture
def double(ray_instance: None, tmp_path: Path) -> Callable[..., dict[int, object]]:
    def run(items: list[int], **options: object) -> dict[int, object]:
        pairs = list(parallel(items, doubler(), {"memory": tmp_path / "died"}, **options))  # type: ignore[arg-type]
        assert len(pairs) == len(items)
        return dict(pairs)

    return run


def test_every_item_is_done_once(double: Callable[..., dict[int, object]]) -> None:
    seen: list[tuple[int, int]] = []
    results = double(list(range(20)), workers=2, progress=lambda done, total: seen.append((done, total)))
    assert results == {position: 2 * position for position in range(20)}
    assert seen == [(done, 20) for done in range(1, 21)]


def test_progress_counts_sizes(double: Callable[..., dict[int, object]]) -> None:
    seen: list[tuple[float, float]] = []
    sizes = [0.5, 4.0, 1.5, 2.0]
    double([1, 2, 3, 4], workers=1, sizes=sizes, progress=lambda done, total: seen.append((done, total)))
    done, totals = zip(*seen, strict=True)
    assert set(totals) == {8.0}
    assert done[-1] == 8.0
    assert sorted(b - a for a, b in zip((0.0, *done), done, strict=False)) == sorted(sizes)


def test_an_exception_is_a_row(double: Callable[..., dict[int, object]]) -> None:
    assert double([1, -1, 3]) == {0: 2, 1: Failed("ValueError: minus one"), 2: 6}


def test_a_death_is_a_row_and_the_others_live(double: Callable[..., dict[int, object]]) -> None:
    assert double([1, -2, 3, 4], workers=1) == {0: 2, 1: Failed("its worker process died"), 2: 6, 3: 8}


def test_a_death_by_chance_is_tried_again(double: Callable[..., dict[int, object]]) -> None:
    assert double([-3, 5], workers=1) == {0: -6, 1: 10}


def test_items_given_together_have_a_result_each(double: Callable[..., dict[int, object]]) -> None:
    items = [-1 if n % 10 == 3 else n for n in range(100)]
    fallen = Failed("ValueError: minus one")
    assert double(items, workers=2, together=8) == {n: fallen if n % 10 == 3 else 2 * n for n in range(100)}


def test_a_death_takes_nobody_along_who_was_given_together_with_it(double: Callable[..., dict[int, object]]) -> None:
    items = [-2 if n == 40 else n for n in range(60)]
    died = Failed("its worker process died")
    assert double(items, workers=1, together=8) == {n: died if n == 40 else 2 * n for n in range(60)}


def test_nothing_to_do(double: Callable[..., dict[int, object]]) -> None:
    assert double([]) == {}


def test_no_more_workers_than_a_gpu_is_shared_by() -> None:
    assert Resources().fit({"CPU": 24.0}) == 24
    assert Resources(num_gpus=0.25).fit({"CPU": 24.0, "GPU": 2.0}) == 8
    assert Resources(num_gpus=0.25).fit({"CPU": 2.0, "GPU": 2.0}) == 2
    assert Resources(num_gpus=1.0).fit({"CPU": 4.0}) == 1, "Ray then reports what is missing"
