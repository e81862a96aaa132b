"""Shared options of the commands: types, and options that several commands take."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tqdm import tqdm

from avcat.apps.checks import MODEL_VARIABLE
from avcat.errors import InputError

if TYPE_CHECKING:
    from avcat.apps.credentials import Credentials

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
LOOPBACK = "127.0.0.1"
_UNITS = {"fit": "step", "look at faces": "face", "render": "clip"}


def positive(text: str) -> int:
    """The type of an option that takes a number from 1 on."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def port(text: str) -> int:
    """The type of an option that takes a TCP port, 0 for a free one."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def add_model(command: argparse.ArgumentParser, what: str) -> None:
    """`--model`, which is `what`."""
    command.add_argument("--model", type=Path, help=f"{what} (default: the path in the variable {MODEL_VARIABLE})")


def add_device(command: argparse.ArgumentParser, what: str = "the network runs") -> None:
    """`--device`, where `what`."""
    command.add_argument("--device", default="cpu", help=f"where {what}: cpu (default), cuda, cuda:1 ...")


def add_quiet(command: argparse.ArgumentParser) -> None:
    """`--quiet`."""
    command.add_argument("-q", "--quiet", action="store_true", help="print errors and warnings only")


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
    """Loads and tests them. Raises InputError if they cannot sign, or only one of the two was given."""
    if arguments.credentials is None and arguments.key is None:
        return None
    if arguments.credentials is None or arguments.key is None:
        raise InputError("--credentials and --key belong together: a certificate and its private key")

    from avcat.apps.credentials import load_credentials

    return load_credentials(arguments.credentials, arguments.key)


class Bars:
    """A progress bar per step, with frames per second, or the unit of `_UNITS`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm | None = None
        self._what = ""

    def __enter__(self) -> "Bars":
        return self

    def update(self, what: str, done: int, total: int) -> None:
        """Shows `done` of `total` for the step `what`; a new `what` begins a new bar."""
        if what != self._what:
            self.__exit__()
            unit = _UNITS.get(what, "frame")
            self._bar = tqdm(total=total, desc=what, unit=unit, disable=self._quiet, smoothing=0.1)
            self._what = what
        assert self._bar is not None
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
