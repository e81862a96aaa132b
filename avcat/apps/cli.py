"""The `avcat` command."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from avcat.apps.commands import dub, export, fit, info, study, verify, web
from avcat.errors import InputError

_MORE_EXAMPLES = """\
  avcat fit talk.mp4 -o person.pt --model model.pt
  avcat export model.pt -o model.onnx
  avcat web --model model.pt
  avcat verify dubbed.mp4
  avcat info model.pt
  avcat info talk.mp4
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 1 if `verify` finds no mark, 2 for bad input, 130 interrupted,
    141 if standard output is closed.
    """
    arguments = _parser().parse_args(argv)
    try:
        with _interruptible():
            code = arguments.run(arguments) or 0
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python would report an error at exit
        return 128 + signal.SIGPIPE
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a share that went away
        print(f"error: {error.filename or 'files'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; no file is left half-written", file=sys.stderr)
        return 130


@contextmanager
def _interruptible() -> Iterator[None]:
    """Any signal to terminate raises KeyboardInterrupt once: the clean-up that follows is not interrupted."""
    asks = [
        asked
        for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(asked) is not signal.SIG_IGN  # as under nohup
    ]

    def interrupt(*_: object) -> None:
        for asked in asks:
            signal.signal(asked, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {asked: signal.signal(asked, interrupt) for asked in asks}
    try:
        yield
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler or signal.SIG_DFL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="avcat",
        description="Makes a talking face say another sound track.",
        epilog=dub.EXAMPLES + _MORE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"avcat {version('avcat')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (dub, fit, export, web, verify, study, info):
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
