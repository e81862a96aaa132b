"""`python -m stages.shards`: cuts the aligned crops and packs them with mels and landmarks into shards."""

import argparse
import sys

from avcat.data.shards import damaged_shards
from avcat.errors import InputError
from pipelines.clips import SPLITS
from pipelines.cluster import connect
from pipelines.shards import build_shards
from stages._main import bar, run_stage
from stages._mlflow import tracked
from stages._params import load


def work() -> None:
    """Reads manifest, tracks and mels, writes the folder `shards`."""
    params = load()
    out, data = params.out, params.data
    manifest, tracks, mels = out / "manifest.parquet", out / "tracks", out / "mels"
    settings = {"data": data, "align": params.align, "mel": params.mel}
    with tracked("shards", settings, [manifest, tracks, mels]) as run:
        with connect(params.runtime), bar("shards", "s of video") as progress:
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


def verify() -> None:
    """Compares every shard with its sha256. Raises InputError that names those that were damaged since."""
    folder = load().out / "shards"
    damaged = [line for split in SPLITS for line in damaged_shards(folder / split)]
    if damaged:
        raise InputError("; ".join(damaged))
    print(f"{folder}: every byte as it was written")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--verify", action="store_true", help="only compare the shards that are there with their sha256"
    )
    return run_stage(verify if parser.parse_args().verify else work)


if __name__ == "__main__":
    sys.exit(main())
