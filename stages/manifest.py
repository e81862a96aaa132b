"""`python -m stages.manifest`: finds and probes every clip, gives it its split and its shard."""

import argparse
import sys

from pipelines.cluster import connect
from pipelines.manifest import build_manifest
from stages._main import bar, run_stage
from stages._params import load
from stages._track import tracked


def work() -> None:
    """Reads the corpora, writes `manifest.parquet` and `manifest-outcomes.parquet`."""
    params = load()
    out = params.out
    with tracked("manifest", {"data": params.data}, [out / "corpus"]) as run:
        with connect(params.runtime), bar("probe") as progress:
            counts = build_manifest(
                params.data,
                out / "manifest.parquet",
                out / "manifest-outcomes.parquet",
                runtime=params.runtime,
                progress=progress,
            )
        run.summarise(counts)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    return run_stage(work)


if __name__ == "__main__":
    sys.exit(main())
