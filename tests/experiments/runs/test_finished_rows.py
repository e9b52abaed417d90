from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.presentation.text_table import percent
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.experiments.runs.finished_rows import FinishedRows


def test_a_row_is_shown_once_it_is_final(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    comparison = prepare(replace(config, seeds=2), lab, tmp_path)
    events: list[str | Record] = []
    rows = FinishedRows(comparison.plan, 8, events.append)

    def tell(record: Record) -> None:
        events.append(record)
        rows.add(record)

    comparison.run(tell)
    comparison.records.close()
    lines = [event for event in events if isinstance(event, str)]
    summary = {row.strategy.name: row for row in summarize(comparison.config, comparison.records.records).rows}
    assert lines[0].startswith("finished so far")
    assert {line.split("  ")[0] for line in lines[1:]} == set(summary)
    for line in lines[1:]:
        row = summary[line.split("  ")[0]]
        assert percent(row.score) in line
        assert f"{row.cost.calls:.1f}" in line
        before = events[: events.index(line)]
        done = [event for event in before if isinstance(event, Record) and event.strategy == row.strategy.name]
        assert len(done) == 8


def test_rows_that_were_finished_before_are_shown_at_once(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    comparison = prepare(config, lab, tmp_path)
    comparison.run(lambda record: None)
    comparison.records.close()
    lines: list[str] = []
    FinishedRows(comparison.plan, 4, lines.append, comparison.records.records)
    assert len(lines) == 1 + sum(not strategy.curve_of for strategy in comparison.plan)
