"""`avcat web`: dubs on a page in the browser."""

import argparse
import os
import sys

from avcat.apps.checks import check_device, model_path
from avcat.apps.commands.options import (
    LOOPBACK,
    Commands,
    add_credentials,
    add_device,
    add_model,
    credentials_of,
    port,
    positive,
)


def add(commands: Commands) -> None:
    """Adds the command."""
    web = commands.add_parser(
        "web",
        help="dub in a browser, on a page of this machine",
        description="Serves a page to upload a video and a sound, pick a face, and watch and download the result; one "
        "job at a time. Needs the extra: pip install 'avcat[web]'.",
    )
    add_model(web, "a trained model")
    web.add_argument(
        "--host",
        default=LOOPBACK,
        help=f"the address to listen on (default {LOOPBACK}: only this machine); the page asks for no password",
    )
    web.add_argument("--port", type=port, default=7860, help="default 7860; 0 takes a free one")
    web.add_argument("--max-seconds", type=positive, default=60, help="longest video and sound (default 60)")
    web.add_argument("--max-mb", type=positive, default=200, help="largest file (default 200)")
    add_device(web)
    add_credentials(web)
    web.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    model = model_path(arguments.model, onnx=True)
    credentials = credentials_of(arguments)
    check_device(arguments.device)

    from avcat.apps.web import Limits, serve  # slow to import

    serve(
        model,
        host=arguments.host,
        port=arguments.port,
        limits=Limits(seconds=arguments.max_seconds, megabytes=arguments.max_mb),
        device=arguments.device,
        credentials=credentials,
    )
    # The thread of an abandoned job may be inside native code and would crash at Python's normal exit.
    sys.stdout.flush()
    os._exit(0)
