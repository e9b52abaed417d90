"""``dspy-fusion report``: what a run's records say, shown and drawn again."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ..workflows.comparison_workflow import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    parser.add_argument("run", type=Path, help="the run's folder")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Makes the views again and prints them."""
    return report(arguments.run, console=console)
