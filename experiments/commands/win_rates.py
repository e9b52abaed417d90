"""``dspy-fusion win-rates``: wins against one baseline, as judged and at equal length.

Length is controlled for as in AlpacaEval 2.

Takes the folder of a comparison on a task that is judged against a baseline (``arena``), or a file of recorded, graded
answers with ``--baseline MODEL``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError

from ..judging.length_controlled import Match
from ..judging.win_rate_tables import (
    all_win_rates,
    is_ungraded,
    matches_of_questions,
    matches_of_records,
    win_rate_table,
)
from ..recordings.pool_rows import rows_of
from ..recordings.recording import RecordedQuestion
from ..recordings.shapes import shape_of
from ..runs.run_folder import read_run

TASKS = ("arena",)
"""The tasks whose score is a verdict against the expected answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose win rates, and how exact their intervals are."""
    parser.add_argument("path", type=Path, help="the folder of a comparison on arena, or a file of recorded answers")
    parser.add_argument("--baseline", default="", help="the model of the file that the others are compared with")
    parser.add_argument(
        "--resamples", type=int, default=300, help="how often instructions are drawn anew for the intervals"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Fits and prints."""
    if arguments.resamples < 1:
        raise ConfigurationError(f"--resamples must be at least 1, but got {arguments.resamples}")
    by_model, baseline = _matches(arguments.path, arguments.baseline, log)
    table = win_rate_table(all_win_rates(by_model, resamples=arguments.resamples, seed=arguments.seed), baseline)
    if arguments.markdown:
        console.print(table.markdown(), markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(table.rich())
    console.print(table.note, markup=False, highlight=False)
    return 0


def _matches(path: Path, baseline: str, log: Console) -> tuple[Mapping[str, Sequence[Match]], str]:
    if path.is_dir():
        if baseline:
            raise ConfigurationError(
                "--baseline is for a file of recorded answers; a comparison has its baseline in the task"
            )
        recorded = read_run(path)
        if (task := recorded.config.task) not in TASKS:
            raise ConfigurationError(
                f"{path} is a comparison on {task!r}; only {', '.join(TASKS)} is judged against a baseline"
            )
        if left_out := sum(map(is_ungraded, recorded.records)):
            log.print(
                f"{left_out} of {len(recorded.records)} answers were not graded and are left out", highlight=False
            )
        return matches_of_records(recorded.records), "the task's baseline"
    if not baseline:
        raise ConfigurationError(f"name the model of {path} that the others are compared with: --baseline MODEL")
    return matches_of_questions(_questions(path, log), baseline), baseline


def _questions(path: Path, log: Console) -> list[RecordedQuestion]:
    rows = list(rows_of(str(path)))
    if not rows:
        raise ConfigurationError(f"{path} is empty")
    _, shape = shape_of(rows[0])
    read = shape.make(rows[0], path)
    found: list[RecordedQuestion] = []
    aside: list[str] = []
    for row in rows:
        try:
            found += read(row)
        except ValueError as error:
            aside.append(f"{row.where}: {error}")
    if aside:
        log.print(
            f"{len(aside)} of {len(rows)} rows set aside, the first: {aside[0]}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return found
