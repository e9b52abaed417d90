"""``dspy-fusion finetune``: a model is trained to write one answer from several, or the training goes on."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ..plans.command_options import add_options, given_options
from ..plans.command_programs import add_pool_options, add_program_option, program_tables, refuse_both
from ..runs.finetuning_config import FineTuningConfig
from ..workflows.finetuning_workflow import finetune

_EXAMPLE = "dspy-fusion finetune --base embedded/NAME --task worksheets --models MODEL,MODEL"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, and where to write."""
    parser.add_argument(
        "config", nargs="?", type=Path, help="a TOML file; or give --base, --task or --data, and --program"
    )
    add_program_option(parser, several=False)
    add_pool_options(parser, scorer=False)
    add_options(parser, FineTuningConfig)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the fine-tuning."""
    return finetune(_config(arguments), console=console, log=log)


def _config(arguments: argparse.Namespace) -> FineTuningConfig:
    settings = given_options(arguments, FineTuningConfig)
    if arguments.config is not None:
        refuse_both(arguments)
        return FineTuningConfig.read(arguments.config, settings)
    return FineTuningConfig.parse(program_tables(arguments, example=_EXAMPLE), where="command line", settings=settings)
