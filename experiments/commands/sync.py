"""``dspy-fusion sync``: what MLflow missed of a run while it was down."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from ..workflows.sync_workflow import sync


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and where to."""
    parser.add_argument(
        "run", type=Path, help="the run's folder: of a comparison, a study, a fine-tuning or a synthesis"
    )
    parser.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or the run's own)")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Writes what is missing."""
    return sync(arguments.run, tracking_uri=arguments.tracking_uri, console=console)
