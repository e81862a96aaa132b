"""`python -m stages.manifest`: finds and probes all videos, cuts long ones, gives each clip its split and its shard."""

import argparse
import sys

from avcat.errors import InputError
from pipelines.cluster import connect
from pipelines.manifest import build_manifest
from pipelines.outcome import explain, read_outcomes
from stages._main import bar, run_stage
from stages._params import load
from stages._track import tracked

REPORTS = ("shards/outcomes.parquet", "tracks/outcomes.parquet", "mels/outcomes.parquet", "manifest-outcomes.parquet")


def work() -> None:
    """Reads the corpora, writes `manifest.parquet` and `manifest-outcomes.parquet`."""
    params = load()
    out = params.out
    with tracked("manifest", {"data": params.data}, [out / "corpus"]) as run:
        with connect(params.runtime), bar("probe", "file") as progress:
            counts = build_manifest(
                params.data,
                out / "manifest.parquet",
                out / "manifest-outcomes.parquet",
                params.state / "manifest",
                runtime=params.runtime,
                progress=progress,
            )
        run.summarise(counts)
        run.log_outcomes(counts)


def tell(clip: str) -> None:
    """Prints what became of a clip, by the report of the last stage that has written one."""
    out = load().out
    report = next((out / name for name in REPORTS if (out / name).exists()), None)
    if report is None:
        raise InputError(f"{out}: no stage has reported yet; `dvc repro shards` makes them")
    lines = explain(read_outcomes(report), clip)
    if not lines:
        raise InputError(f"{clip}: no such clip in {report}")
    print(*lines, sep="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explain", metavar="CLIP", help="only tell what became of a clip: its id, or its file's name")
    clip = parser.parse_args().explain
    return run_stage(lambda: tell(clip) if clip else work())


if __name__ == "__main__":
    sys.exit(main())
