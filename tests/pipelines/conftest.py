"""One small Ray instance for all the tests of this folder."""

from collections.abc import Iterator

import pytest

from avcat.config import RuntimeConfig
from pipelines.cluster import connect


@pytest.fixture(scope="session")
def ray_instance() -> Iterator[None]:
    with connect(RuntimeConfig(num_cpus=2, workers=2, device="cpu", threads=1)):
        yield
