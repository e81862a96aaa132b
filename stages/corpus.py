"""`python -m stages.corpus`: renders synth-words and synth-wild, real H.264 and AAC with the ground truth."""

from pipelines.cluster import connect
from pipelines.corpus import render_corpus
from stages._main import bar, main
from stages._mlflow import tracked
from stages._params import load


def work() -> None:
    """Writes `out/<profile>/corpus/<corpus>/<split>/<speaker>/<name>.mp4`."""
    params = load()
    (params.out / "corpus").mkdir(parents=True, exist_ok=True)  # DVC wants it, even if nothing is rendered
    with tracked("corpus", {"corpus": params.corpus}) as run:
        with connect(params.runtime), bar("render", "frame") as progress:
            counts = render_corpus(
                params.corpus, params.out / "corpus", workers=params.runtime.workers, progress=progress
            )
        run.summarise(counts)


if __name__ == "__main__":
    main(work, __doc__)
