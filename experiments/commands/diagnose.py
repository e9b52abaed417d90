"""``dspy-fusion diagnose``: what a few examples say, before money is spent on many."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

from ..diagnoses.diagnosis_config import DiagnosisConfig
from ..diagnoses.diagnosis_run import Finding, Scale, diagnose_recorded
from ..diagnoses.look import prepare_look
from ..plans.command_options import add_options, given_options, names_in
from ..runs.ray_work import ENGINES
from ..workflows.diagnosis_workflow import look_at, show_finding, write_numbers

_BANK = "sqlite:///bank.db"
_NUMBERS_ONLY = ".json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to look at: recorded candidates, a task with models, or a program of the user's own."""
    parser.add_argument("config", nargs="?", type=Path, help="a TOML file; or leave it out and give options")
    parser.add_argument("--set", default="", help="which recorded set (default: the only one)")
    parser.add_argument("--sources", default="", help="which recorded candidates, separated by commas (default: all)")
    parser.add_argument(
        "--bank",
        help=f"URL of a bank: of recorded candidates, or where drawn ones are kept (default for those: {_BANK})",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the diagnosis (default: one under runs/), or a .json file for its numbers"
    )
    parser.add_argument("--engine", choices=ENGINES, default="local", help="where it is drawn (default: local)")
    add_options(parser, DiagnosisConfig, but=("bank", "out"))


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Looks, and prints what it means."""
    settings = given_options(arguments, DiagnosisConfig)
    settings.pop("out", None)
    asked = any(settings.get(name) for name in ("task", "data", "pool", "program"))
    if arguments.config is None and not asked:
        finding = _recorded(arguments, DiagnosisConfig(**settings))
        show_finding(finding, console, log)
        if arguments.out is not None:
            write_numbers(arguments.out, finding)
        return 0
    return _live(_config(arguments, settings), arguments, console, log)


def _config(arguments: argparse.Namespace, settings: dict[str, Any]) -> DiagnosisConfig:
    if arguments.config is not None:
        config = DiagnosisConfig.read(arguments.config, settings)
    else:
        config = DiagnosisConfig.parse({}, where="command line", settings=settings)
    if not (config.task and (config.pool or config.program)):
        raise ConfigurationError(
            "give --task or --data together with --models, which names at least one model, or with --program"
        )
    return replace(config, bank=arguments.bank or config.bank or _BANK)


def _live(config: DiagnosisConfig, arguments: argparse.Namespace, console: Console, log: Console) -> int:
    out: Path | None = arguments.out
    catalogue = load_models(config.models or None)
    if "max_concurrency" not in config.kept or config.max_concurrency == DiagnosisConfig.max_concurrency:
        embedded = bool(config.pool) and all(catalogue.entry(name).is_embedded for name in config.pool)
        config = replace(config, max_concurrency=24) if embedded else config  # they answer in batches
    look = prepare_look(config, catalogue)
    numbers = out if out is not None and out.suffix == _NUMBERS_ONLY else None
    path = out if numbers is None else None
    path = path or (Path(config.out) if config.out else None)
    looked = look_at(look, path, log, bank_url=config.bank, engine=arguments.engine)
    show_finding(looked.finding, console, log)
    if numbers is not None:
        write_numbers(numbers, looked.finding)
    console.print("\nOpen next:", style="bold")
    lines = [f"  {looked.folder.page}   the page with tables and the figure"]
    if looked.uri:
        lines.append(f"  mlflow ui --backend-store-uri {looked.uri}   the MLflow run")
    lines.append(f"next: dspy-fusion compare {_again(config)}   (replays what was drawn here)")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _again(config: DiagnosisConfig) -> str:
    """The options of a comparison that replays what was drawn."""
    options = {
        "data": config.data,
        "inputs": ",".join(config.inputs),
        "output": config.output,
        "metric": config.metric,
        "task": "" if config.data and config.metric else config.task,
        "program": config.program,
        "models": ",".join(config.pool),
        "bank": config.bank,
    }
    return " ".join(f"--{name} {value}" for name, value in options.items() if value)


def _recorded(arguments: argparse.Namespace, config: DiagnosisConfig) -> Finding:
    if not arguments.bank:
        raise ConfigurationError(
            "give --bank URL for recorded candidates, or --task or --data with --models; see dspy-fusion diagnose"
            " --help"
        )
    return diagnose_recorded(
        arguments.bank,
        arguments.set,
        names_in(arguments.sources),
        config.examples,
        fusor=config.fusor,
        catalogue=load_models(config.models or None),
        scale=Scale(config.compared, config.trials, config.studied),
        seed=config.seed,
    )
