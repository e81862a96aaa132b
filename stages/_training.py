"""What a training reports: a progress bar, and points for MLflow."""

from collections.abc import Iterator
from contextlib import contextmanager

from avcat.training.loop import Loggers
from stages._main import bar
from stages._mlflow import Run

LOG_EVERY = 10  # steps; a point takes MLflow some milliseconds
RARE = ("val_", "gradient_share_")  # prefixes of figures that few steps have


@contextmanager
def loggers(run: Run, what: str, steps: int) -> Iterator[Loggers]:
    """Loggers that move a bar at every step, and keep every tenth point and each that has one of the rare figures."""
    with bar(what, "step") as progress:

        def scalars(step: int, figures: dict[str, float]) -> None:
            progress(step, steps)
            if step % LOG_EVERY == 0 or step == steps or any(name.startswith(RARE) for name in figures):
                run.log(step, figures)

        yield Loggers(scalars, run.log_image, run.note)
