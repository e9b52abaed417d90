"""``dspy-fusion diagnose``: what a few examples say, before money is spent on many."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models

from ..diagnoses.diagnosis import EXAMPLES
from ..diagnoses.diagnosis_run import Finding, Scale, diagnose_live, diagnose_recorded
from ..diagnoses.diagnosis_tables import diagnosis_tables, sentences, spending_table, to_json
from ..plans.default_strategies import preset_config

_BANK = "sqlite:///bank.db"
_LIVE = ("n", "temperature", "split", "data", "adapter", "metric_judge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to look at: recorded candidates, or a task with models."""
    parser.add_argument(
        "--bank",
        help=f"URL of a bank: of recorded candidates, or where drawn ones are kept (default for those: {_BANK})",
    )
    parser.add_argument("--set", default="", help="which recorded set (default: the only one)")
    parser.add_argument("--sources", default="", help="which recorded candidates, separated by commas (default: all)")
    parser.add_argument("--task", help="a task, whose examples are put to the models")
    parser.add_argument("--models", help="the pool: model names, separated by commas")
    parser.add_argument(
        "--examples", type=int, default=EXAMPLES, help=f"how many to look at, 20 to 50 are enough (default: {EXAMPLES})"
    )
    parser.add_argument("--n", type=int, help="candidates per example (default: 5)")
    parser.add_argument("--temperature", type=float, help="of the candidates")
    parser.add_argument("--split", help="which examples of the task")
    parser.add_argument("--languages", help="languages to ask in, by their codes, separated by commas")
    parser.add_argument("--data", help="local folder with the task's files")
    parser.add_argument("--adapter", help="how the models are asked: chat, json or plain")
    parser.add_argument("--metric-judge", help="the model that grades, for a task whose metric asks one")
    parser.add_argument("--fusor", default="", help="the model that would fuse, for the estimated cost")
    parser.add_argument("--judge", default="", help="the model that would judge, for the estimated cost")
    parser.add_argument(
        "--compared", type=int, default=200, help="questions of the comparison whose cost is estimated (default: 200)"
    )
    parser.add_argument(
        "--trials", type=int, default=40, help="trials of the study whose cost is estimated (default: 40)"
    )
    parser.add_argument(
        "--studied", type=int, default=100, help="questions that its trials are scored on (default: 100)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample of recorded questions")
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    parser.add_argument("--out", type=Path, help="a JSON file for all numbers")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Looks, and prints what it means."""
    for name in ("examples", "compared", "trials", "studied"):
        if getattr(arguments, name) < (2 if name == "examples" else 1):
            raise ConfigurationError(
                f"--{name} must be at least {2 if name == 'examples' else 1}, but got {getattr(arguments, name)}"
            )
    catalogue = load_models(arguments.models_file)
    scale = Scale(arguments.compared, arguments.trials, arguments.studied)
    finding = (
        _live(arguments, catalogue, scale, log)
        if arguments.task or arguments.models
        else _recorded(arguments, catalogue, scale)
    )
    _show(finding, console, log)
    if arguments.out is not None:
        _write(arguments.out, to_json(finding.diagnosis, finding.spending))
    if arguments.task:
        again = (
            f"dspy-fusion compare --task {arguments.task} --models {arguments.models} --bank {arguments.bank or _BANK}"
        )
        console.print(f"next: {again}   (replays what was drawn here)", markup=False, highlight=False, soft_wrap=True)
    return 0


def _recorded(arguments: argparse.Namespace, catalogue: ModelCatalogue, scale: Scale) -> Finding:
    if not arguments.bank:
        raise ConfigurationError(
            "give --bank URL for recorded candidates, or --task with --models; see dspy-fusion diagnose --help"
        )
    return diagnose_recorded(
        arguments.bank,
        arguments.set,
        _split(arguments.sources),
        arguments.examples,
        fusor=arguments.fusor,
        catalogue=catalogue,
        scale=scale,
        seed=arguments.seed,
    )


def _live(arguments: argparse.Namespace, catalogue: ModelCatalogue, scale: Scale, log: Console) -> Finding:
    models = list(_split(arguments.models or ""))
    if not (arguments.task and models):
        raise ConfigurationError("give --task together with --models, which names at least one model")
    embedded = all(catalogue.entry(name).is_embedded for name in models)
    settings: dict[str, Any] = {
        name: getattr(arguments, name) for name in _LIVE if getattr(arguments, name) is not None
    }
    settings |= {
        "examples": arguments.examples,
        "max_concurrency": 24 if embedded else 8,
        "languages": _split(arguments.languages or ""),
    }
    config = preset_config(
        arguments.task, models, fusor=arguments.fusor, judge=arguments.judge, likelihood=embedded, **settings
    )
    done: list[None] = []

    def on_example() -> None:
        done.append(None)
        if log.is_terminal:
            log.print(f"{len(done)}/{config.examples} examples", end="\r", highlight=False)

    def tell(text: str) -> None:
        log.print(text, markup=False, highlight=False, soft_wrap=True)

    return diagnose_live(config, catalogue, arguments.bank or _BANK, scale=scale, tell=tell, on_example=on_example)


def _show(finding: Finding, console: Console, log: Console) -> None:
    for table in (*diagnosis_tables(finding.diagnosis), spending_table(finding.spending, priced=finding.is_priced)):
        console.print(table.rich())
        console.print()
    for place, sentence in enumerate(sentences(finding.diagnosis)):
        console.print(sentence, style=None if place else "bold", markup=False, highlight=False, soft_wrap=True)
    for note in finding.notes:
        log.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}; choose another file with --out") from error


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
