"""What the training stages have in common: a bar for people, points for MLflow."""

from collections.abc import Iterator
from contextlib import contextmanager

from avcat.training.loop import Loggers
from stages._main import bar
from stages._track import Run

LOG_EVERY = 10  # steps; a point takes MLflow some milliseconds


@contextmanager
def loggers(run: Run, what: str, steps: int) -> Iterator[Loggers]:
    """Loggers that move a bar at every step, and keep every tenth point and every validation."""
    with bar(what, "step") as progress:

        def scalars(step: int, figures: dict[str, float]) -> None:
            progress(step, steps)
            if step % LOG_EVERY == 0 or step == steps or any(name.startswith("val_") for name in figures):
                run.log(step, figures)

        yield Loggers(scalars, run.log_image)
