"""`python -m stages.mels`: one log-mel spectrogram per clip."""

from pipelines.cluster import connect
from pipelines.mels import compute_mels
from stages._main import bar, main
from stages._mlflow import tracked
from stages._params import load


def work() -> None:
    """Reads the manifest, writes the folder `mels`."""
    params = load()
    manifest = params.out / "manifest.parquet"
    with tracked("mels", {"mel": params.mel, "data": params.data}, [manifest]) as run:
        with connect(params.runtime), bar("mels", "s of video") as progress:
            counts = compute_mels(
                params.mel,
                params.data,
                manifest,
                params.out / "manifest-outcomes.parquet",
                params.out / "mels",
                params.state / "mels",
                runtime=params.runtime,
                progress=progress,
            )
        run.summarise(counts)
        run.log_outcomes(counts)


if __name__ == "__main__":
    main(work, __doc__)
