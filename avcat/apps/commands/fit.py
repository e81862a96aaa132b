"""`avcat fit`: trains a model further on clips of one person."""

import argparse
from pathlib import Path

from avcat.apps.checks import check_device, check_output, model_path
from avcat.apps.commands.options import Bars, Commands, add_device, add_model, add_quiet, positive


def add(commands: Commands) -> None:
    """Adds the command."""
    fit = commands.add_parser(
        "fit",
        help="fit a model to one person, so that their face is drawn correctly",
        description="Trains a model further on clips of one person, with their sound; the end of each clip is held out "
        "to see when to stop. Writes a model that `avcat dub` takes, and beside it (OUT-strip.png) a strip of held-out "
        "moments, three rows each: truth, before, after. Only the first ten minutes of all clips together are used.",
    )
    fit.add_argument("clips", metavar="CLIP", type=Path, nargs="+", help="a video of the person speaking; some seconds")
    fit.add_argument("-o", "--output", metavar="OUT.pt", type=Path, required=True, help="the model file to write")
    add_model(fit, "the model to start from")
    fit.add_argument(
        "--steps",
        type=positive,
        default=100,
        help="at most (default 100); it stops earlier if nothing improves, or if there are few frames",
    )
    add_device(fit, "the network learns")
    add_quiet(fit)
    fit.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from avcat.media.soundtrack import sound_rate
    from avcat.media.video import probe

    model = model_path(arguments.model)
    for clip in arguments.clips:
        probe(clip)
        sound_rate(clip)
    check_output(arguments.output, (*arguments.clips, model), "a model file", ".pt")
    check_device(arguments.device)

    from avcat.dubbing.fit import fit, strip_of  # slow to import
    from avcat.face.landmarks import MediaPipeDetector
    from avcat.training.threads import Threads

    check_output(strip_of(arguments.output), tuple(arguments.clips), "a strip of pictures", ".png")
    with Bars(quiet=arguments.quiet) as bars:
        done = fit(
            arguments.clips,
            model,
            arguments.output,
            MediaPipeDetector(),
            steps=arguments.steps,
            device=arguments.device,
            threads=Threads(),
            progress=bars.update,
        )
    if not arguments.quiet:
        print(
            f"{arguments.output}: held-out error {done.before:.4f} before, {done.after:.4f} after {done.best_step} "
            f"steps; trained on {done.frames} frames, held out {done.held_out}; {done.precision}"
        )
