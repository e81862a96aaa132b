"""`python -m stages.offsets`: which sounds do not fit their pictures, by SyncNet; checks only if enabled in params."""

from contextlib import nullcontext

from pipelines.cluster import connect
from pipelines.offsets import find_offsets
from pipelines.resources import with_device
from stages._main import bar, main
from stages._mlflow import tracked
from stages._params import load


def work() -> None:
    """Reads shards and SyncNet, writes `offsets.parquet`."""
    params = load()
    shards, syncnet = params.out / "shards", params.out / "syncnet" / "model.pt"
    with tracked("offsets", {"offsets": params.offsets}, [shards, syncnet]) as run:
        with connect(params.runtime) if params.offsets.check else nullcontext(), bar("offsets", "shard") as progress:
            counts = find_offsets(
                params.offsets,
                shards=shards,
                syncnet=syncnet,
                out=params.out / "offsets.parquet",
                runtime=with_device(params.runtime),
                progress=progress,
            )
        run.summarise(counts)
        if counts["offsets"]:
            run.log_bars("offsets", f"frames by which the sound of {counts['clips']} clips leads", counts["offsets"])


if __name__ == "__main__":
    main(work, __doc__)
