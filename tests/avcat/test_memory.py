"""Arrays that come and go cost the system's pages once."""

import os
import subprocess
import sys

COUNT = """
import resource, sys
import numpy as np
from avcat.memory import keep_large_arrays

if "keep" in sys.argv:
    assert keep_large_arrays()
np.ones(2_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2_000_000)  # 16 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words: str) -> int:
    plainly = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}  # no huge pages
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *words], capture_output=True, text=True, check=True, env=plainly
    )
    return int(done.stdout)


def test_large_arrays_are_kept_for_the_next() -> None:
    plain, kept = faults(), faults("keep")
    assert kept < 100
    assert plain > 10 * max(kept, 1), "of 20 x 3,907 pages"
