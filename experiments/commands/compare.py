"""``dspy-fusion compare``: a comparison from a file, or of a list of models on a task."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

from ..plans.command_options import add_options, given_options, names_in
from ..plans.comparison_config import CompareConfig, read_config
from ..plans.default_strategies import preset_config
from ..workflows.comparison_workflow import compare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare, and how much of it."""
    parser.add_argument(
        "config", nargs="?", type=Path, help="a TOML file; or leave it out and give --task and --models"
    )
    parser.add_argument("--models", dest="pool", help="the pool: model names, separated by commas")
    parser.add_argument(
        "--fusor", default="", help="the model that writes the fused answer (default: the first of --models)"
    )
    parser.add_argument(
        "--judge", default="", help="the model that scores candidates (default: none, and no strategy that needs one)"
    )
    parser.add_argument(
        "--likelihood", action="store_true", help="the models report log-probabilities (embedded ones are known to)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed")
    add_options(parser, CompareConfig)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the comparison."""
    return compare(_config(arguments), retry_failed=arguments.retry_failed, console=console, log=log)


def _config(arguments: argparse.Namespace) -> CompareConfig:
    settings = given_options(arguments, CompareConfig)
    if arguments.config is not None:
        if arguments.task or arguments.pool:
            raise ConfigurationError("give either a configuration file or --task with --models, not both")
        return read_config(arguments.config, settings)
    if not (arguments.task and arguments.pool):
        raise ConfigurationError("give a configuration file, or --task with --models; see dspy-fusion compare --help")
    models = names_in(arguments.pool)
    if not models:
        raise ConfigurationError(f"--models names no model: {arguments.pool!r}; give names separated by commas")
    catalogue = load_models(settings.get("models"))
    embedded = all(catalogue.entry(name).is_embedded for name in [*models, arguments.fusor or models[0]])
    if embedded:
        settings.setdefault("max_concurrency", 24)  # they answer in batches, and a fuller batch costs little more
    return preset_config(
        settings.pop("task"),
        models,
        fusor=arguments.fusor,
        judge=arguments.judge,
        likelihood=arguments.likelihood or embedded,
        **settings,
    )
