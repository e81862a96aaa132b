"""One small Ray instance for all the tests of this folder."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipelines.cluster import connect
from stages._params import load


@pytest.fixture(scope="session")
def ray_instance() -> Iterator[None]:
    with connect(replace(load("test").runtime, num_cpus=2, workers=2, device="cpu", threads=1)):
        yield
