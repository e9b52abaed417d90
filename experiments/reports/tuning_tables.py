"""The end of a study for the terminal.

Before and after on examples that no trial saw, what changed, what it cost, the verdict.
"""

from __future__ import annotations

from typing import Any

import dspy
from rich.console import Console

from dspy_fusion.optimizers import TuningReport
from dspy_fusion.programs import Hyperparameter

from ..presentation.text_table import TextTable, amount, percent, points

UNITS = {"tokens": "tokens", "calls": "calls", "dollars": "US dollars", "gpu_seconds": "GPU seconds"}
"""What costs are counted in, by the configuration's ``price``."""
_NEAR_PERFECT = 0.9
_SHOWN = 100  # characters of an instruction


def show_report(
    report: TuningReport, program: dspy.Module, tuned: dspy.Module, console: Console, *, unit: str = "tokens"
) -> None:
    """Prints the result of a study.

    Args:
        report: of the study.
        program: as it was.
        tuned: what the study returned.
        console: where to.
        unit: what costs are counted in.
    """
    console.print(score_table(report, unit=unit).rich())
    changes = changed(report, program, tuned)
    if changes:
        console.print(TextTable("What changed", ("parameter", "before", "after"), tuple(changes)).rich())
    for note in report.notes:
        console.print(note, style="yellow", markup=False)
    for line in why_kept(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(spending(report, unit=unit), markup=False, highlight=False)
    console.print(report.verdict, style="bold", markup=False, highlight=False)


def score_table(report: TuningReport, *, unit: str = "tokens") -> TextTable:
    """Score and cost before and after; the examples of the trials stand for unseen ones only where there are none."""
    held_out = report.before is not None
    count = (report.before or report.baseline).n
    title = f"On {count} examples that no trial saw" if held_out else f"On the {count} examples of the trials"
    rows = [("before", percent(report.before or report.baseline), amount(report.cost_before))]
    if report.after is not None:
        rows.append(("best trial", percent(report.after), amount(report.cost_after)))
    if report.gain is not None:
        rows.append(("difference", points(report.gain), amount(report.cost_after - report.cost_before, sign="+")))
    return TextTable(title, ("", "score % and its 95 % interval", f"{unit} an answer"), tuple(rows))


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


def spending(report: TuningReport, *, unit: str = "tokens") -> str:
    """What the study took, in one line."""
    states = [trial.state for trial in report.trials]
    asked = report.spent.calls + report.replayed.calls
    return (
        f"{len(states)} trials: {states.count('whole')} whole, {states.count('dropped')} raced out,"
        f" {states.count('failed')} failed. {report.spent.calls:,} requests made of {asked:,} asked for"
        f" ({100 * report.replayed.calls / max(1, asked):.0f} % from the bank),"
        f" {report.spent.tokens_in + report.spent.tokens_out:,} tokens; cost {amount(report.spent_cost)} {unit}."
    )


def why_kept(report: TuningReport) -> list[str]:
    """Why nothing beat the baseline, where the program is returned as it was without a trial to take.

    How near the nearest trial came, and what became of the others.
    """
    if report.chosen is not None or not report.trials:
        return []
    scored = [(trial, trial.quality) for trial in report.trials if trial.state == "whole" and trial.quality]
    states = [trial.state for trial in report.trials]
    base, lines = report.baseline, []
    if scored:
        nearest, quality = max(scored, key=lambda item: (item[1].mean, -item[0].cost))
        away = 100 * (quality.mean - base.mean)
        lines.append(
            f"why: the nearest of {len(scored)} whole trials, trial {nearest.number}, is {away:+.1f} points from the"
            f" baseline's {100 * base.mean:.1f} % on the same {base.n} examples, at {amount(nearest.cost)} instead of"
            f" {amount(report.cost_before)} an answer"
        )
    else:
        lines.append("why: no trial was scored on all examples")
    lines.append(f"     {states.count('dropped')} were raced out behind it, and {states.count('failed')} failed")
    if base.mean >= _NEAR_PERFECT:
        lines.append(f"     the baseline leaves {100 * (1 - base.mean):.1f} points to gain")
    return lines


def _instruction(part: Any, origins: dict[str, str]) -> str:
    text = part.signature.instructions
    origin = f"({origins[text]}) " if text in origins else ""
    return origin + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
