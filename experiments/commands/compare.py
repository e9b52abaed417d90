"""``dspy-fusion compare``: a comparison from a file, or of a list of models on a task."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

from ..own_tasks.own_examples import is_own_data
from ..own_tasks.own_task import configured_task
from ..plans.command_options import add_options, given_options, names_in
from ..plans.command_programs import add_program_option, own_strategies
from ..plans.comparison_config import CompareConfig, StrategyConfig
from ..plans.default_strategies import preset_config
from ..plans.run_config import RunConfig, named_task
from ..runs.ray_work import ENGINES
from ..workflows.comparison_workflow import compare

_OF_ROWS = ("data", "inputs", "output", "metric", "adapter")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare, and how much of it."""
    parser.add_argument(
        "config", nargs="?", type=Path, help="a TOML file; or give --task or --data, with --models or --program"
    )
    add_program_option(parser, several=True)
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
    parser.add_argument("--engine", choices=ENGINES, default="local", help="where it is run (default: local)")
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed")
    add_options(parser, CompareConfig)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the comparison."""
    how = {"engine": arguments.engine, "retry_failed": arguments.retry_failed}
    return compare(_config(arguments), **how, console=console, log=log)


def _config(arguments: argparse.Namespace) -> CompareConfig:
    settings = given_options(arguments, CompareConfig)
    own = own_strategies(arguments.own_program or ())
    if arguments.config is not None:
        if arguments.task or arguments.pool or own:
            raise ConfigurationError(
                "give either a configuration file or --task or --data with --models or --program, not both"
            )
        return CompareConfig.read(arguments.config, settings)
    table = named_task({}, settings)
    task = settings.pop("task", "") or table.get("task", "")
    if not (task and (arguments.pool or own)):
        raise ConfigurationError(
            "give a configuration file, or --task or --data, with --models or --program; see dspy-fusion compare --help"
        )
    if not arguments.pool:
        return CompareConfig(task, own, **settings)
    return _of_models(arguments, task, own, settings)


def _of_models(
    arguments: argparse.Namespace, task: str, own: tuple[StrategyConfig, ...], settings: dict[str, Any]
) -> CompareConfig:
    """What is compared of a list of models, and the user's own programs after it."""
    models = names_in(arguments.pool)
    if not models:
        raise ConfigurationError(f"--models names no model: {arguments.pool!r}; give names separated by commas")
    catalogue = load_models(settings.get("models"))
    embedded = all(catalogue.entry(name).is_embedded for name in [*models, arguments.fusor or models[0]])
    if embedded:
        settings.setdefault("max_concurrency", 24)  # they answer in batches, and a fuller batch costs little more
    rows = {name: settings[name] for name in _OF_ROWS if name in settings}
    asked = configured_task(RunConfig(task, **rows)) if is_own_data(settings.get("data", "")) else None
    config = preset_config(
        task,
        models,
        asked=asked,
        fusor=arguments.fusor,
        judge=arguments.judge,
        likelihood=arguments.likelihood or embedded,
        **settings,
    )
    return replace(config, strategies=(*config.strategies, *own))
