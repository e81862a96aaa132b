"""What every stage's `main` has in common."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

from avcat.errors import InputError
from stages._params import ROOT

NETWORK = ("aiobotocore", "aiohttp", "botocore", "fsspec", "s3fs")  # their errors are not OSErrors


def run_stage(work: Callable[[], None]) -> int:
    """Runs `work` in the project's root; returns the exit code.

    What the user can fix, disks and networks included, is one line on stderr and code 2; an interrupt is code 130.
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
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in NETWORK:
            raise  # else a full disk, a lost network share
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def main(work: Callable[[], None], description: str | None) -> NoReturn:
    """The command line of a stage without arguments: runs `work`, and exits with its code."""
    argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    sys.exit(run_stage(work))


@contextmanager
def bar(what: str, unit: str = "clip") -> Iterator[Callable[[float, float], None]]:
    """A progress bar, as the callback (done, total) that pipelines take. Fewer updates if stderr is not a terminal.

    The time left is forecast from the first report on: what came before, such as the start of workers, happens once.
    Of the processes that torchrun started, only the first shows one.
    """
    watched, silent = sys.stderr.isatty(), os.environ.get("RANK", "0") != "0"
    with tqdm(
        desc=what,
        unit=unit,
        mininterval=0.2 if watched else 5.0,
        smoothing=0.02 if watched else 0.3,
        dynamic_ncols=watched,
        disable=silent,
    ) as shown:

        def progress(done: float, total: float) -> None:
            shown.total, now = round(total), round(done)
            if not shown.n:
                shown.initial = shown.n = shown.last_print_n = now
                shown.start_t = shown.last_print_t = time.time()
            shown.update(now - shown.n)

        yield progress
