"""Commands and options whose work needs an extra: their parsers, which import nothing heavy, and their checks."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from avcat.checks import MODEL_VARIABLE, check_device, check_output, model_path
from avcat.errors import InputError

if TYPE_CHECKING:
    from avcat.credentials import Credentials


def add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`avcat export`."""
    export = commands.add_parser(
        "export",
        help="write a model as ONNX, for ONNX Runtime",
        description="Writes MODEL as an ONNX file that `avcat dub --model` takes, after comparing its pictures with "
        "torch's. Needs the extra: pip install 'avcat[onnx]'.",
    )
    export.add_argument("model", metavar="MODEL.pt", type=Path, help="a trained model that redraws frame by frame")
    export.add_argument("-o", "--output", metavar="MODEL.onnx", type=Path, required=True, help="the file to write")
    export.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> None:
    model = model_path(arguments.model)
    check_output(arguments.output, (model,), ".onnx", "an ONNX file")

    from avcat.export import export  # slow to import

    done = export(model, arguments.output)
    if not arguments.quiet:
        print(f"{arguments.output}: differs from torch by {done.difference:.1e} at most, of pictures in -1..1")


def add_credentials(command: argparse.ArgumentParser) -> None:
    """`--credentials` and `--key` of commands that write videos."""
    command.add_argument(
        "--credentials",
        metavar="CERT.pem",
        type=Path,
        help="sign the result with C2PA content credentials: your certificate, then those that vouch for it",
    )
    command.add_argument("--key", metavar="KEY.pem", type=Path, help="the private key of that certificate")


def credentials_of(arguments: argparse.Namespace) -> "Credentials | None":
    """Loaded and tried. Raises InputError where they cannot sign, or only one of the two was given."""
    if arguments.credentials is None and arguments.key is None:
        return None
    if arguments.credentials is None or arguments.key is None:
        raise InputError("--credentials and --key belong together: a certificate and its private key")

    from avcat.credentials import load_credentials

    return load_credentials(arguments.credentials, arguments.key)


def add_web(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`avcat web`."""
    web = commands.add_parser(
        "web",
        help="dub in a browser, on a page of this machine",
        description="Serves a page on which a video and a sound are given, a face is picked, and the result is watched "
        "and downloaded; one job at a time. Needs the extra: pip install 'avcat[web]'.",
    )
    web.add_argument("--model", type=Path, help=f"a trained model (default: what {MODEL_VARIABLE} names)")
    web.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default 127.0.0.1: this machine alone); the page asks for no password",
    )
    web.add_argument("--port", type=_port, default=7860, help="(default 7860)")
    web.add_argument("--max-seconds", type=_positive, default=60, help="longest video and sound (default 60)")
    web.add_argument("--max-mb", type=_positive, default=200, help="largest file (default 200)")
    web.add_argument("--device", default="cpu", help="where the network runs: cpu (default), cuda, cuda:1 ...")
    add_credentials(web)
    web.set_defaults(run=_web)


def _web(arguments: argparse.Namespace) -> None:
    model = model_path(arguments.model, onnx=True)
    credentials = credentials_of(arguments)
    check_device(arguments.device)

    from avcat.web import Limits, serve  # slow to import

    serve(
        model,
        host=arguments.host,
        port=arguments.port,
        limits=Limits(seconds=arguments.max_seconds, megabytes=arguments.max_mb),
        device=arguments.device,
        credentials=credentials,
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 1 to 65535")
    return int(text)
