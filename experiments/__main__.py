"""The command line ``dspy-fusion``, which is also ``python -m dspy_fusion.experiments``."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from .commands import COMMANDS, EXTRAS

_FILE_WIDTH = 160  # characters a line where output goes into a file, so that tables are whole
USAGE_ERROR, INTERRUPTED = 2, 130  # the latter as shells have it
# Set before dspy, litellm and mlflow are imported: what they would fetch or report unasked stays off.
_QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done, 2 something typed or configured is wrong, 130 interrupted."""
    is_process, argv = argv is None, sys.argv[1:] if argv is None else list(argv)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    debug = "--debug" in argv
    try:
        command = _loaded(argv, for_good=is_process)
        arguments = _parser(command).parse_args(argv)
        _end_as_interrupted()
        return _run(command, arguments)
    except SystemExit as wanted:
        return int(wanted.code or 0)
    except ModuleNotFoundError as error:
        if debug or (error.name or "").startswith("dspy_fusion"):
            raise
        from dspy_fusion.programs.extras import missing

        name = _name(argv)
        package = (error.name or "").partition(".")[0]
        told = missing(f"the command {name}", [package], EXTRAS.get(name, "experiments"))
        print(f"dspy-fusion: {told}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the reader left; nothing more can be said to it
        return 0
    finally:
        if is_process:
            gc.freeze()  # or all that was loaded is looked through before the process ends, for two seconds and more


def _end_as_interrupted() -> None:
    """Has SIGTERM end a command as Ctrl-C does: its other processes end, and what is in flight is written down."""

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
            raise KeyboardInterrupt  # as in the background of a shell, which ignores Ctrl-C
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _guard() -> None:
    """Has whatever is logged, and a traceback that ends the process, hold no secrets."""
    from dspy_fusion.programs.redaction import guard_process

    guard_process()


def _run(command: Any, arguments: argparse.Namespace) -> int:
    from dspy_fusion.programs.errors import FusionError
    from dspy_fusion.programs.redaction import redacted

    from .presentation.page_text import visible
    from .presentation.safe_console import SafeConsole

    console, log = SafeConsole(), SafeConsole(stderr=True)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = SafeConsole(width=_FILE_WIDTH)
    try:
        return command.run(arguments, console, log)
    except FusionError as error:
        if arguments.debug:
            raise
        print("dspy-fusion:", visible(redacted(" ".join(str(error).split()))), file=sys.stderr)
        return USAGE_ERROR


def _loaded(argv: Sequence[str], *, for_good: bool) -> Any:
    """The module of the command that is asked for, or None, with all that it imports.

    With ``for_good`` what is imported is never looked through for garbage, neither now nor later: that would take a
    fifth of the time to start.
    """
    if for_good:
        gc.disable()
    _guard()
    command = _command(argv)
    if for_good:
        gc.freeze()
        gc.enable()
    return command


def _command(argv: Sequence[str]) -> Any:
    """The module of the command that is asked for, or None."""
    name = _name(argv)
    return importlib.import_module(f".commands.{name.replace('-', '_')}", __package__) if name in COMMANDS else None


def _name(argv: Sequence[str]) -> str:
    return next((word for word in argv if not word.startswith("-")), "")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"dspy-fusion: {message}; see {self.prog} --help\n")


def _parser(command: Any) -> argparse.ArgumentParser:
    """The parser of all commands, of which only the one that is asked for knows its arguments."""
    parser = _Parser(
        prog="dspy-fusion", description="Make one answer from many candidates, and measure whether that is worth it."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        own = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if command is not None and command.__name__.endswith(f".{name.replace('-', '_')}"):
            command.add_arguments(own)
        own.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
