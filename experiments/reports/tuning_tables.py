"""The end of a study for the terminal: before and after on examples that no trial saw, what changed, what it cost,
the verdict.
"""

from __future__ import annotations

from typing import Any

import dspy
from rich.console import Console

from dspy_fusion.optimizers import TuningReport
from dspy_fusion.programs import Hyperparameter

from ..presentation.text_table import TextTable, percent, points

_SHOWN = 100  # characters of an instruction


def show_report(report: TuningReport, program: dspy.Module, tuned: dspy.Module, console: Console) -> None:
    """Prints the result of a study.

    Args:
        report: of the study.
        program: as it was.
        tuned: what the study returned.
        console: where to.
    """
    console.print(score_table(report).rich())
    changes = changed(report, program, tuned)
    if changes:
        console.print(TextTable("What changed", ("parameter", "before", "after"), tuple(changes)).rich())
    for note in report.notes:
        console.print(note, style="yellow", markup=False)
    console.print(spending(report), markup=False, highlight=False)
    console.print(report.verdict, style="bold", markup=False, highlight=False)


def score_table(report: TuningReport) -> TextTable:
    """Score and cost before and after; the examples of the trials stand for unseen ones only where there are none."""
    held_out = report.before is not None
    count = (report.before or report.baseline).n
    title = f"On {count} examples that no trial saw" if held_out else f"On the {count} examples of the trials"
    rows = [("before", percent(report.before or report.baseline), f"{report.cost_before:,.4g}")]
    if report.after is not None:
        rows.append(("best trial", percent(report.after), f"{report.cost_after:,.4g}"))
    if report.gain is not None:
        rows.append(("difference", points(report.gain), f"{report.cost_after - report.cost_before:+,.4g}"))
    return TextTable(title, ("", "score % and its 95 % interval", "cost"), tuple(rows))


def changed(report: TuningReport, program: dspy.Module, tuned: dspy.Module) -> list[tuple[str, str, str]]:
    """(parameter, before, after) for everything in which two programs differ."""
    after = dict(tuned.named_parameters())
    origins = {text: origin for texts in report.instructions.values() for text, origin in texts}
    rows = []
    for name, part in program.named_parameters():
        if isinstance(part, Hyperparameter):
            pair = (f"{part.value}", f"{after[name].value}")
        elif not isinstance(part, dspy.Predict):  # such as a trained model behind a fusor, which no study changes
            continue
        else:
            pair = (_instruction(part, origins), _instruction(after[name], origins))
        if pair[0] != pair[1]:
            rows.append((name, *pair))
    return rows


def spending(report: TuningReport) -> str:
    """What the study took, in one line."""
    states = [trial.state for trial in report.trials]
    asked = report.spent.calls + report.replayed.calls
    return (
        f"{len(states)} trials: {states.count('whole')} whole, {states.count('dropped')} raced out,"
        f" {states.count('failed')} failed. {report.spent.calls:,} requests made of {asked:,} asked for"
        f" ({100 * report.replayed.calls / max(1, asked):.0f} % from the bank),"
        f" {report.spent.tokens_in + report.spent.tokens_out:,} tokens, cost {report.spent_cost:,.4g}."
    )


def _instruction(part: Any, origins: dict[str, str]) -> str:
    text = part.signature.instructions
    origin = f"({origins[text]}) " if text in origins else ""
    return origin + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
