"""``dspy-fusion demo``: the embedded models compared, and then the program that fuses them tuned in a short study."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ..plans.comparison_config import read_config
from ..runs.tuning_config import read_tuning_config
from ..workflows.tuning_workflow import tune
from .compare import add_run_options, given_settings, run_comparison

_CONFIGS = Path(__file__).parents[1] / "configs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it is run."""
    add_run_options(parser)
    parser.add_argument("--no-study", action="store_true", help="leave out the study at the end")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the comparison, and then the study."""
    settings = given_settings(arguments)
    code = run_comparison(replace(read_config(_CONFIGS / "demo.toml"), **settings), arguments, console, log)
    return code if code or arguments.no_study else _study(arguments, console, log)


def _study(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    config = read_tuning_config(_CONFIGS / "demo_tune.toml")
    most = arguments.examples or config.examples
    settings: dict[str, Any] = {
        name: max(2, min(getattr(config, name), most)) for name in ("examples", "held_out", "trials")
    }
    if arguments.models_file is not None:
        settings["models"] = str(arguments.models_file)
    console.print("\nA short study of how to fuse them best:\n", style="bold")
    return tune(
        replace(config, **settings),
        arguments.out and Path(f"{arguments.out}-study"),
        workers=1,
        tracking_uri=arguments.tracking_uri,
        track=not arguments.no_tracking,
        console=console,
        log=log,
    )
