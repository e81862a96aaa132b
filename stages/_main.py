"""What every stage's `main` has in common."""

import os
import sys
from collections.abc import Callable

from avcat.errors import InputError
from stages._params import ROOT


def run_stage(work: Callable[[], None]) -> int:
    """Runs `work` in the project's root; returns the exit code.

    What the user can mend is one line on stderr and code 2; an interrupt is code 130.
    """
    os.chdir(ROOT)
    try:
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
