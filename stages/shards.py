"""`python -m stages.shards`: cuts the aligned crops and packs them with mels and landmarks into shards."""

import argparse
import sys

from pipelines.cluster import connect
from pipelines.shards import build_shards
from stages._main import bar, run_stage
from stages._params import load
from stages._track import tracked


def work() -> None:
    """Reads manifest, tracks and mels, writes the folder `shards`."""
    params = load()
    out, data = params.out, params.data
    manifest, tracks, mels = out / "manifest.parquet", out / "tracks", out / "mels"
    settings = {"data": data, "align": params.align, "mel": params.mel}
    with tracked("shards", settings, [manifest, tracks, mels]) as run:
        with connect(params.runtime), bar("shards", "shard") as progress:
            counts = build_shards(
                params.inputs,
                data.jpeg_quality,
                data.max_failed_fraction,
                manifest=manifest,
                tracks=tracks,
                mels=mels,
                out=out / "shards",
                state=params.state / "shards",
                runtime=params.runtime,
                progress=progress,
            )
        run.summarise(counts)
        run.log_outcomes(counts)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    return run_stage(work)


if __name__ == "__main__":
    sys.exit(main())
