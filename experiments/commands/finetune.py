"""``dspy-fusion finetune``: a model is trained to write one answer from several, or the training goes on."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ..plans.command_options import add_options, given_options
from ..runs.finetuning_config import FineTuningConfig, read_finetuning_config
from ..workflows.finetuning_workflow import finetune


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, and where to write."""
    parser.add_argument("config", type=Path, help="a TOML file")
    add_options(parser, FineTuningConfig)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the fine-tuning."""
    settings = given_options(arguments, FineTuningConfig)
    return finetune(read_finetuning_config(arguments.config, settings), console=console, log=log)
