"""The command line: ``dspy-fusion compare | demo | tune | sync | report | models``, which is also ``python -m dspy_fusion.experiments``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

_FILE_WIDTH = 160  # characters a line where output goes into a file, so that tables are whole
USAGE_ERROR, INTERRUPTED = 2, 130  # the latter as shells have it
# Set before dspy, litellm and mlflow are imported: what they would fetch or report unasked stays off.
_QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done, 2 something typed or configured is wrong, 130 interrupted."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as wanted:
        return int(wanted.code or 0)
    from dspy_fusion.programs.errors import FusionError

    try:
        return _dispatch(arguments)
    except FusionError as error:
        if arguments.debug:
            raise
        print("dspy-fusion:", " ".join(str(error).split()), file=sys.stderr)
        return USAGE_ERROR
    except ModuleNotFoundError as error:
        if arguments.debug or (error.name or "").startswith("dspy_fusion"):
            raise
        print(f"dspy-fusion: the package {error.name!r} is not installed; pip install 'dspy-fusion[experiments]'", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing more can be said to it
        return 0


def _dispatch(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from . import commands

    console, log = Console(), Console(stderr=True)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_FILE_WIDTH)
    if arguments.command == "report":
        return commands.report(arguments.run, console=console)
    if arguments.command == "models":
        return commands.models(arguments.models_file, console=console)
    if arguments.command in ("tune", "sync"):
        return _tune(arguments, console, log)
    return commands.compare(
        _config(arguments),
        arguments.out,
        tracking_uri=arguments.tracking_uri,
        track=not arguments.no_tracking,
        retry_failed=arguments.retry_failed,
        console=console,
        log=log,
    )


def _tune(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    from dataclasses import replace

    from dspy_fusion.programs.errors import ConfigurationError

    from .tune import sync, tune, work
    from .tuning_config import read_tuning_config

    if arguments.command == "sync":
        return sync(arguments.run, tracking_uri=arguments.tracking_uri, console=console)
    if arguments.worker:
        return work(arguments.config)
    if arguments.workers < 1:
        raise ConfigurationError(f"--workers must be at least 1, but got {arguments.workers}")
    names = ("trials", "examples", "held_out", "storage", "max_concurrency")
    settings = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if arguments.models_file is not None:
        settings["models"] = str(arguments.models_file)
    return tune(
        replace(read_tuning_config(arguments.config), **settings),
        arguments.out,
        workers=arguments.workers,
        tracking_uri=arguments.tracking_uri,
        track=not arguments.no_tracking,
        console=console,
        log=log,
    )


def _config(arguments: argparse.Namespace) -> Any:
    from dataclasses import replace

    from dspy_fusion.programs.errors import ConfigurationError
    from dspy_fusion.serving.models import load_models

    from .config import read_config
    from .preset import preset_config

    names = ("examples", "seeds", "n", "temperature", "split", "max_concurrency", "bank")
    settings = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if arguments.models_file is not None:
        settings["models"] = str(arguments.models_file)
    if arguments.command == "demo":
        return replace(read_config(Path(__file__).with_name("configs") / "demo.toml"), **settings)
    if arguments.config is not None:
        if arguments.task or arguments.models:
            raise ConfigurationError("give either a configuration file or --task with --models, not both")
        return replace(read_config(arguments.config), **settings)
    if not (arguments.task and arguments.models):
        raise ConfigurationError("give a configuration file, or --task with --models; see dspy-fusion compare --help")
    models = [name.strip() for name in arguments.models.split(",") if name.strip()]
    if not models:
        raise ConfigurationError(f"--models names no model: {arguments.models!r}; give names separated by commas")
    catalogue = load_models(settings.get("models"))
    embedded = all(catalogue.entry(name).is_embedded for name in [*models, arguments.fusor or models[0]])
    if embedded:
        settings.setdefault("max_concurrency", 24)  # they answer in batches, and a fuller batch costs little more
    return preset_config(
        arguments.task,
        models,
        fusor=arguments.fusor,
        judge=arguments.judge,
        likelihood=arguments.likelihood or embedded,
        **settings,
    )


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"dspy-fusion: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dspy-fusion", description="Compare ways of making one answer from many candidates.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="compare | demo | tune | sync | report | models")
    compare = commands.add_parser("compare", help="compare strategies on a task", description="Compare strategies on a task.")
    compare.add_argument("config", nargs="?", type=Path, help="a TOML file; or leave it out and give --task and --models")
    compare.add_argument("--task", help="name of the task, such as worksheets")
    compare.add_argument("--models", help="the pool: model names, separated by commas")
    compare.add_argument("--fusor", default="", help="the model that writes the fused answer (default: the first of --models)")
    compare.add_argument("--judge", default="", help="the model that scores candidates (default: none, and no strategy that needs one)")
    compare.add_argument("--likelihood", action="store_true", help="the models report log-probabilities (embedded ones are known to)")
    demo = commands.add_parser("demo", help="the same on the embedded models, in minutes", description="Compare the embedded models.")
    for command in (compare, demo):
        _add_run_options(command)
    report = commands.add_parser("report", help="make a run's page again", description="Make a run's tables, figures and page again.")
    report.add_argument("run", type=Path, help="the run's folder")
    models = commands.add_parser("models", help="list the models", description="List the model catalogue.")
    models.add_argument("--models-file", type=Path, help="a models.toml")
    tune = commands.add_parser("tune", help="tune a program's prompts and numbers", description="Tune a program's prompts and numbers.")
    tune.add_argument("config", type=Path, help="a TOML file")
    _add_tune_options(tune)
    sync = commands.add_parser("sync", help="write to MLflow what is missing there", description="Write to MLflow what is missing.")
    sync.add_argument("run", type=Path, help="the study's folder")
    sync.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db beside the run)")
    for command in (compare, demo, tune, sync, report, models):
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_tune_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=int, default=1, help="how many processes work on the study (default: 1)")
    command.add_argument("--out", type=Path, help="folder of the run (default: runs/tune-TASK-PROGRAM-DIGEST); a study there goes on")
    command.add_argument("--trials", type=int, help="how many trials the study is to have")
    command.add_argument("--examples", type=int, help="how many examples trials are scored on")
    command.add_argument("--held-out", type=int, help="how many examples no trial sees")
    command.add_argument("--storage", help="SQLAlchemy URL of the study, such as postgresql://... for several machines")
    command.add_argument("--max-concurrency", type=int, help="examples worked on at a time")
    command.add_argument("--models-file", type=Path, help="a models.toml")
    command.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db beside the run)")
    command.add_argument("--no-tracking", action="store_true", help="write nothing to MLflow")
    command.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # how tune starts further processes


def _add_run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, help="folder of the run (default: runs/TASK-DIGEST); an unfinished run there goes on")
    command.add_argument("--examples", type=int, help="how many examples")
    command.add_argument("--seeds", type=int, help="how many answers to each example")
    command.add_argument("--n", type=int, help="candidates per pool")
    command.add_argument("--temperature", type=float, help="of the candidates")
    command.add_argument("--split", help="train, validation or test")
    command.add_argument("--max-concurrency", type=int, help="examples worked on at a time")
    command.add_argument("--bank", help="SQLAlchemy URL of a candidate bank to share between runs (default: one in the run's folder)")
    command.add_argument("--models-file", type=Path, help="a models.toml")
    command.add_argument("--retry-failed", action="store_true", help="run again what failed")
    command.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db beside the run)")
    command.add_argument("--no-tracking", action="store_true", help="write nothing to MLflow")


if __name__ == "__main__":
    sys.exit(main())
