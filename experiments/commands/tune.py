"""``dspy-fusion tune``: a study of a program's prompts and numbers, begun or continued."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError

from ..plans.command_options import add_options, given_options
from ..plans.command_programs import add_pool_options, add_program_option, program_tables, refuse_both
from ..runs.tuning_config import TuningConfig
from ..workflows.study_workers import work
from ..workflows.tuning_workflow import tune

_EXAMPLE = "dspy-fusion tune --task gsm8k --models MODEL,MODEL"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to tune, how long, and with how many processes."""
    parser.add_argument("config", nargs="?", type=Path, help="a TOML file; or give --task or --data, and --program")
    add_program_option(parser, several=False)
    add_pool_options(parser)
    parser.add_argument("--workers", type=int, default=1, help="how many processes work on the study (default: 1)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # how tune starts further processes
    add_options(parser, TuningConfig)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the study."""
    if arguments.worker:
        return work(arguments.config)
    if arguments.workers < 1:
        raise ConfigurationError(f"--workers must be at least 1, but got {arguments.workers}")
    return tune(_config(arguments), workers=arguments.workers, console=console, log=log)


def _config(arguments: argparse.Namespace) -> TuningConfig:
    settings = given_options(arguments, TuningConfig)
    if arguments.config is not None:
        refuse_both(arguments)
        return TuningConfig.read(arguments.config, settings)
    return TuningConfig.parse(program_tables(arguments, example=_EXAMPLE), where="command line", settings=settings)
