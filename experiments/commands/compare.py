"""``dspy-fusion compare``: a comparison from a file, or of a list of models on a task."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

from ..plans.comparison_config import CompareConfig, read_config
from ..plans.default_strategies import preset_config
from ..workflows.comparison_workflow import compare

_SETTINGS = (
    "examples", "seeds", "n", "temperature", "split", "data", "metric_judge",
    "judge_may_answer", "adapter", "max_concurrency", "bank",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compare, and how much of it."""
    parser.add_argument(
        "config", nargs="?", type=Path, help="a TOML file; or leave it out and give --task and --models"
    )
    parser.add_argument("--task", help="name of the task, such as worksheets")
    parser.add_argument("--models", help="the pool: model names, separated by commas")
    parser.add_argument(
        "--fusor", default="", help="the model that writes the fused answer (default: the first of --models)"
    )
    parser.add_argument(
        "--judge", default="", help="the model that scores candidates (default: none, and no strategy that needs one)"
    )
    parser.add_argument(
        "--likelihood", action="store_true", help="the models report log-probabilities (embedded ones are known to)"
    )
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """How much of a comparison is run, and where it is written down."""
    parser.add_argument(
        "--out", type=Path, help="folder of the run (default: runs/TASK-DIGEST); an unfinished run there goes on"
    )
    parser.add_argument("--examples", type=int, help="how many examples")
    parser.add_argument("--seeds", type=int, help="how many answers to each example")
    parser.add_argument("--n", type=int, help="candidates per pool")
    parser.add_argument("--temperature", type=float, help="of the candidates")
    parser.add_argument("--split", help="which examples: a split of the task, such as test")
    parser.add_argument(
        "--data", help="folder with the task's files (default: that of DSPY_FUSION_DATA, else the Hugging Face hub)"
    )
    parser.add_argument(
        "--languages", help="codes of languages, separated by commas, of a task that has several (default: all)"
    )
    parser.add_argument(
        "--judge-may-answer", action="store_const", const=True, help="let a model judge its own answers"
    )
    parser.add_argument("--metric-judge", help="the model that grades answers, for a task whose metric asks one")
    parser.add_argument(
        "--adapter", help="how models are asked: chat, json, or plain for those that cannot fill in fields"
    )
    parser.add_argument("--max-concurrency", type=int, help="examples worked on at a time")
    parser.add_argument(
        "--bank", help="SQLAlchemy URL of a candidate bank to share between runs (default: one in the run's folder)"
    )
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed")
    parser.add_argument(
        "--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db beside the run)"
    )
    parser.add_argument("--no-tracking", action="store_true", help="write nothing to MLflow")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the comparison."""
    return run_comparison(_config(arguments), arguments, console, log)


def run_comparison(config: CompareConfig, arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues a comparison with the options of :func:`add_run_options`."""
    return compare(
        config,
        arguments.out,
        tracking_uri=arguments.tracking_uri,
        track=not arguments.no_tracking,
        retry_failed=arguments.retry_failed,
        console=console,
        log=log,
    )


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of a configuration that were given as options."""
    settings = {name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None}
    if arguments.languages is not None:
        settings["languages"] = tuple(code.strip() for code in arguments.languages.split(",") if code.strip())
    return settings | ({"models": str(arguments.models_file)} if arguments.models_file is not None else {})


def _config(arguments: argparse.Namespace) -> CompareConfig:
    settings = given_settings(arguments)
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
