"""`python -m stages.reproduce --profile demo`: everything of a profile, on one Ray instance that ends with it.

Sets the profile in params.yaml, asks DVC what is left to do, and if there is something starts Ray and `dvc repro`.
Ctrl-C, SIGTERM or a failed stage end all that was started; the next call resumes where this one stopped.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from avcat.errors import InputError
from avcat.files import located, write
from stages._main import run_stage
from stages._params import FILE, ROOT, Params, check, load
from stages.forecast import forecast

PROFILE_LINE = re.compile(r"^profile: *([\w-]+)", re.MULTILINE)
ROWS_LINES = re.compile(r"^selected:((?:\n *- *[^\n]+)+| *\[[^\]]*\])", re.MULTILINE)  # as DVC writes it, or by hand
GRACE_S = 8  # for a stage to end after each signal
# Training allocates and frees buffers of megabytes all the time, and huge pages make their first access cheap.
# `benchmarks.train` with and without them measures the gain on a machine (docs/lab-notes.md).
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def set_profile(profile: str, path: Path) -> None:
    """Makes `profile` the one that the params file names, changing only that word; prints a line if it changes."""
    _set(path, PROFILE_LINE, "profile", profile)


def set_rows(rows: str, path: Path) -> None:
    """Makes params.yaml select `full`, only AV-CAT, or `all` rows."""
    chosen = list(yaml.safe_load(path.read_text())["rows"]) if rows == "all" else ["full"]
    _set(path, ROWS_LINES, "selected", "".join(f"\n  - {row}" for row in chosen))


def _set(path: Path, pattern: re.Pattern[str], key: str, value: str) -> None:
    text = path.read_text()
    line = pattern.search(text)
    if line is None:
        raise InputError(f"{path}: no line `{key}: ...`")
    before, after = (re.sub(r"[\[\],]", " ", text).split() for text in (line[1], value))
    if before != after:
        write(path, text[: line.start(1)] + value + text[line.end(1) :])
        said, was = (" ".join(word for word in words if word != "-") for words in (after, before))
        print(f"{path.name}: {key} set to {said} (was {was})", flush=True)


def dvc(*words: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """A DVC command of this environment; its stages find this Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *words],
        cwd=ROOT,
        env={**HUGE_PAGES, **os.environ, "PATH": path, **(environment or {})},
        start_new_session=True,  # so that it can be ended with all its children, and only by us
        text=True,
        **options,
    )


def stale() -> list[str]:
    """The stages that have something to do, as DVC names them. Raises InputError if it reports an error.

    What is in force is written first: the other stages depend on it.
    """
    _answer("repro", "settings")
    return list(json.loads(_answer("status", "--json")))


def _answer(*words: str) -> str:
    """What a DVC command prints."""
    process = dvc(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with ended(process):
        out, problem = process.communicate()
    if process.returncode:
        raise InputError(f"dvc {words[0]}: {problem.strip().splitlines()[-1] if problem.strip() else 'failed'}")
    return out


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the process and its children, by SIGINT, SIGTERM, then SIGKILL, in any case."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a stage that outlived DVC


def reproduce(profile: str, rows: str | None) -> None:
    """Brings all outputs of a profile up to date and prints where they are. Raises InputError if a stage failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    params = load(profile)
    params.in_force()  # mistakes are reported before anything starts: first those of this profile
    check_corpora(params)
    check()
    set_profile(profile, ROOT / FILE)
    if rows:
        set_rows(rows, ROOT / FILE)
    if waiting := stale():
        check_networks(profile)
        print(f"{profile}: timing a step of each training, for a forecast", flush=True)
        print(f"{profile}: {forecast(load(profile), waiting, load().selected)}", flush=True)
        _run_stages(profile)
    else:
        print(f"{profile}: everything is up to date", flush=True)
    show_results(Path("out") / profile)


def check_corpora(params: Params) -> None:
    """Raises InputError if the folder or the table of a corpus is missing, except of those that are rendered first."""
    for name, source in params.data.corpora.items():
        for what in (source.root, source.table):
            if what and not what.startswith(str(params.out)) and not located(what).exists():
                raise InputError(f"{what}: not there (data.corpora.{name})")


def check_networks(profile: str) -> None:
    """Builds every network that will be trained, so that sizes that do not fit are reported before hours of work.

    Raises InputError that names the row.
    """
    from avcat.methods import build
    from avcat.settings import to_dict

    params = load(profile)
    wanted: dict[str, tuple[str, Any]] = {name: ("syncnet", getattr(params, name)) for name in ("syncnet", "evaluator")}
    wanted |= {name: (params.row(name).method, params.row(name).training) for name in params.selected}
    for name, (method, training) in wanted.items():
        try:
            build(method, to_dict(training.model))
        except InputError as error:
            raise InputError(f"{FILE}: {error} ({name})") from None


def _run_stages(profile: str) -> None:
    from pipelines.cluster import start_head, stop_head  # imports Ray, which takes a while

    group = f"{profile}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    print(f"starting Ray; this reproduction is {group} in MLflow", flush=True)
    head = start_head(load(profile).runtime.num_cpus)
    try:
        process = dvc("repro", environment={**head.environment, "AVCAT_REPRODUCTION": group})
        with ended(process):
            code = process.wait()
    finally:
        stop_head(head)
    if code:
        raise InputError(f"a stage of {profile} failed, see above; call this again to resume from there")


def show_results(out: Path) -> None:
    """Prints the main figures and where everything is."""
    glance = out / "tables" / "glance.md"
    if glance.exists():
        print(f"\n{glance.read_text()}")
    places = {
        "tables": out / "tables",
        "report": out / "tables" / "report.html",
        "model": out / "train" / "full" / "model.pt",
        "dubbed clip": out / "dub" / "dubbed.mp4",
        "its strip": out / "dub" / "strip.png",
    }
    for name, path in places.items():
        if path.exists():
            print(f"{name + ':':<13}{path}")
    print("runs:        mlflow ui --backend-store-uri sqlite:///mlflow.db")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", required=True, help="a file of profiles/, without .yaml")
    parser.add_argument(
        "--rows", choices=("full", "all"), help="only AV-CAT, or also its ablations and its peers (default: as before)"
    )
    arguments = parser.parse_args()
    return run_stage(lambda: reproduce(arguments.profile, arguments.rows))


if __name__ == "__main__":
    sys.exit(main())
