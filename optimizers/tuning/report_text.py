"""A tuning report as text: before and after, the gain, what changed, what it cost, and by which rule it ended."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..bootstrap import Interval

if TYPE_CHECKING:
    from .tuning_report import TuningReport

RULE = (
    "rule: of the trials scored on all examples, the cheapest within the tolerance of the best is taken, each by what"
    " is expected of it in view of all trials and not by its own luck; its program is returned if on held-out examples"
    " it is better, or cheaper and worse by no more than the tolerance, and else the program as it was"
)
_INSTRUCTION = "instruction:"


def report_text(report: TuningReport) -> str:
    """The report in lines."""
    lines = [f"study {report.study}", *_table(_scores(report)), *_changes(report), _trials(report)]
    if report.alike is not None:
        lines.append(
            f"cheapest trial not told apart from the best: trial {report.alike}, {_brief(report, report.alike)}"
        )
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join([*lines, RULE, f"verdict: {report.verdict}"])


def enough_examples(gain: Interval) -> int | None:
    """How many held-out examples would tell such a gain from nothing, at 95 %; None where these do, or it is nil."""
    if gain.low > 0 or gain.high < 0 or not gain.mean or not math.isfinite(gain.low):
        return None
    return math.ceil(gain.n * ((gain.high - gain.low) / 2 / abs(gain.mean)) ** 2)


def _scores(report: TuningReport) -> list[tuple[str, ...]]:
    names = list(report.values_before)
    before = {"cost": report.cost_before, **report.values_before}
    after = {"cost": report.cost_after, **report.values_after}
    rows: list[tuple[str, ...]] = [("", "score", "95 % interval", "cost", *names)]
    if report.before is None:
        return [*rows, _row("before, on the trials' examples", report.baseline, before)]
    rows.append(_row(f"before, {report.before.n} held-out examples", report.before, before))
    if report.after is not None:
        rows.append(_row("after", report.after, after))
    if report.gain is not None:
        gained = {name: after.get(name, math.nan) - value for name, value in before.items()}
        rows.append(_row("gain", report.gain, gained))
    return rows


def _row(name: str, interval: Interval, values: Mapping[str, float]) -> tuple[str, ...]:
    numbers = (f"{value:,.4g}" for value in values.values())
    return name, f"{interval.mean:.3f}", f"[{interval.low:.3f}, {interval.high:.3f}]", *numbers


def _changes(report: TuningReport) -> Iterator[str]:
    """Each number before and after; each text as a diff of its sentences."""
    chosen = _setting(report, report.chosen)
    for name, value in chosen.items():
        before = report.start.get(name, 0)
        if value == before:
            continue
        if not name.startswith(_INSTRUCTION):
            yield f"changed: {name} {before} -> {value}"
            continue
        texts = report.instructions[name.removeprefix(_INSTRUCTION)]
        yield f"changed: {name} ({texts[int(value)][1]})"
        yield from _diff(texts[int(before)][0], texts[int(value)][0])


def _diff(before: str, after: str) -> Iterator[str]:
    sentences = [text.replace("\n", " ").replace(". ", ".\n").splitlines() for text in (before, after)]
    yield from (f"  {line}" for line in difflib.ndiff(sentences[0], sentences[1]) if line[0] in "+-")


def _trials(report: TuningReport) -> str:
    states = [trial.state for trial in report.trials]
    return (
        f"{len(states)} trials: {states.count('whole')} whole, {states.count('dropped')} raced out,"
        f" {states.count('failed')} failed; {report.spent.calls:,} calls made, {report.replayed.calls:,} replayed,"
        f" cost {report.spent_cost:,.4g}"
    )


def _brief(report: TuningReport, number: int) -> str:
    trial = next(trial for trial in report.trials if trial.number == number)
    quality = f"score {trial.quality.mean:.3f}, " if trial.quality else ""
    setting = ", ".join(f"{name}={value}" for name, value in trial.setting.items())
    return f"{quality}cost {trial.cost:,.4g} ({setting})"


def _setting(report: TuningReport, number: int | None) -> Mapping[str, Any]:
    return next((trial.setting for trial in report.trials if trial.number == number), {})


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return [f"  {'  '.join(cells)}".rstrip() for cells in padded]
