"""`python -m stages.tracks`: finds the face in every frame of every clip, and drops clips that cannot be used."""

from pipelines.cluster import connect
from pipelines.resources import with_device
from pipelines.tracks import track_clips
from stages._main import bar, main
from stages._mlflow import tracked
from stages._params import load


def work() -> None:
    """Reads the manifest, writes the folder `tracks`."""
    params = load()
    manifest = params.out / "manifest.parquet"
    with tracked("tracks", {"data": params.data}, [manifest]) as run:
        with connect(params.runtime), bar("find faces", "s of video") as progress:
            counts = track_clips(
                params.data,
                manifest,
                params.out / "manifest-outcomes.parquet",
                params.out / "tracks",
                params.state / "tracks",
                runtime=with_device(params.runtime) if params.data.detector.kind == "retinaface" else params.runtime,
                progress=progress,
            )
        run.summarise(counts)
        run.log_outcomes(counts)


if __name__ == "__main__":
    main(work, __doc__)
