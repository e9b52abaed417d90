"""``dspy-fusion tune``: a study of a program's prompts and numbers, begun or continued."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError

from ..runs.tuning_config import read_tuning_config
from ..workflows.tuning_workflow import tune, work

_SETTINGS = ("trials", "examples", "held_out", "storage", "max_concurrency")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to tune, how long, and with how many processes."""
    parser.add_argument("config", type=Path, help="a TOML file")
    parser.add_argument("--workers", type=int, default=1, help="how many processes work on the study (default: 1)")
    parser.add_argument(
        "--out", type=Path, help="folder of the run (default: runs/tune-TASK-PROGRAM-DIGEST); a study there goes on"
    )
    parser.add_argument("--trials", type=int, help="how many trials the study is to have")
    parser.add_argument("--examples", type=int, help="how many examples trials are scored on")
    parser.add_argument("--held-out", type=int, help="how many examples no trial sees")
    parser.add_argument("--storage", help="SQLAlchemy URL of the study, such as postgresql://... for several machines")
    parser.add_argument("--max-concurrency", type=int, help="examples worked on at a time")
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    parser.add_argument(
        "--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db beside the run)"
    )
    parser.add_argument("--no-tracking", action="store_true", help="write nothing to MLflow")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # how tune starts further processes


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the study."""
    if arguments.worker:
        return work(arguments.config)
    if arguments.workers < 1:
        raise ConfigurationError(f"--workers must be at least 1, but got {arguments.workers}")
    settings = {name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None}
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
