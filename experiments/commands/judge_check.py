"""``dspy-fusion judge-check``: how far a judge can be trusted, on pairs of which the better answer is known.

``dspy-fusion judge-check --recorded`` reads the verdicts that LLMBar has recorded; ``--judge MODEL`` asks a model,
``--judge a --judge b`` several, and what they are worth as a panel.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import without_secrets
from dspy_fusion.serving.catalogue.models import load_models

from ..judging.check_tables import check_table, in_words
from ..judging.checking import DEFAULT_BANK, CheckPlan, CheckResult, check_judges, total
from ..judging.pairs import RECORDED
from ..own_tasks.adapters import ADAPTERS

_SHOWN_ERRORS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which pairs, and which judges."""
    columns = "JSON lines, Parquet or CSV with the columns input, output_1, output_2 and label (1 or 2)"
    parser.add_argument(
        "file", nargs="?", type=Path, help=f"{columns}; default: LLMBar in the folder of DSPY_FUSION_DATA"
    )
    parser.add_argument(
        "--recorded", nargs="?", const=RECORDED, default="", metavar="COLUMN", help=f"recorded verdicts ({RECORDED})"
    )
    parser.add_argument(
        "--judge", action="append", default=[], metavar="MODEL", help="a model to ask; may be given more than once"
    )
    parser.add_argument(
        "--form",
        choices=("letter", "ratings"),
        default="letter",
        help="what the model writes (embedded/judge: ratings)",
    )
    parser.add_argument(
        "--adapter", choices=tuple(ADAPTERS), default="chat", help="how the model is asked (embedded/judge: plain)"
    )
    parser.add_argument("--one-order", action="store_true", help="ask with output_1 first only, at half the cost")
    parser.add_argument("--examples", type=int, help="how many pairs, drawn by the seed (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and the intervals")
    parser.add_argument("--bank", default="", help=f"SQLAlchemy URL where verdicts are kept (default: {DEFAULT_BANK})")
    parser.add_argument("--max-concurrency", type=int, default=8, help="pairs asked about at a time")
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number, unrounded, and every verdict")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Checks, prints, and writes where that was asked for."""
    if arguments.max_concurrency < 1:
        raise ConfigurationError(f"--max-concurrency must be at least 1, but got {arguments.max_concurrency}")
    plan = CheckPlan(
        file=arguments.file,
        recorded=arguments.recorded,
        judges=tuple(dict.fromkeys(arguments.judge)),
        form=arguments.form,
        adapter=arguments.adapter,
        both_orders=not arguments.one_order,
        examples=arguments.examples,
        seed=arguments.seed,
        bank=arguments.bank,
        max_concurrency=arguments.max_concurrency,
    )
    result = check_judges(plan, load_models(arguments.models_file), log)
    console.print(check_table(result.checks).rich())
    for sentence in (sentence for check in result.checks for sentence in in_words(check)):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    _print_asked(result, console)
    if arguments.json is not None:
        _write(result, arguments.json)
    return 0


def _print_asked(result: CheckResult, console: Console) -> None:
    if result.votes is not None:
        amount = f"The {len(result.asked)} judges amount to {result.votes:.1f} independent votes, since they err alike."
        console.print(amount, highlight=False, soft_wrap=True)
    for name, asked in result.asked.items():
        for error in asked.errors[:_SHOWN_ERRORS]:
            console.print(f"{name}: {error}", markup=False, highlight=False, soft_wrap=True)
    if result.asked:
        usage = total(result.asked)
        console.print(
            f"{usage.calls} calls, {usage.tokens_in} tokens in, {usage.tokens_out} tokens out", highlight=False
        )


def _write(result: CheckResult, path: Path) -> None:
    verdicts = {name: asked.said for name, asked in result.asked.items()}
    content = {"judges": [asdict(check) for check in result.checks], "verdicts": verdicts, "votes": result.votes}
    try:
        path.write_text(without_secrets(json.dumps(content, indent=1, ensure_ascii=False)), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {path}: {error.strerror}; choose another file with --json"
        ) from error
