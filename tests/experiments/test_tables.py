from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from dspy_fusion.experiments.config import CompareConfig
from dspy_fusion.experiments.records import Record
from dspy_fusion.experiments.summary import summarize
from dspy_fusion.experiments.tables import cost_table, notes, quality_table, strata_table, to_csv

Make = Callable[..., Record]


def records_of(record: Make) -> list[Record]:
    return [record(name, i, score) for name, score in (("single", 0.5), ("oracle", 0.75), ("fusion", 1.0)) for i in range(3)]


def test_scores_are_per_cent_with_intervals(config: CompareConfig, record: Make) -> None:
    rows = {row[0]: row for row in quality_table(summarize(config, records_of(record))).rows}
    assert rows["single"][:4] == ("single", "3", "50.0 [50.0, 50.0]", "reference")
    assert rows["fusion"][3] == "+50.0 [+50.0, +50.0]"


def test_oracle_is_labelled_as_using_the_answers(config: CompareConfig, record: Make) -> None:
    assert "oracle (uses the answers)" in quality_table(summarize(config, records_of(record))).markdown()


def test_costs_are_split_by_role(config: CompareConfig, record: Make) -> None:
    table = cost_table(summarize(config, records_of(record)))
    assert table.rows[0][1:] == ("3.0", "2.0", "150", "30", "100/20", "50/10", "0.50")


def test_csv_is_unrounded_and_in_unit_scores(config: CompareConfig, record: Make) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(summarize(config, records_of(record))))))
    assert (rows[-1]["strategy"], float(rows[-1]["score_mean"]), float(rows[-1]["fusor_tokens_in"])) == ("fusion", 1.0, 50.0)


def test_unfinished_and_failed_answers_are_noted(config: CompareConfig, record: Make) -> None:
    found = notes(summarize(config, [record("vote", 0, 0.0, error="x", fallback="late")]))
    assert found == ("Unfinished: 1 of 28 records.", "vote: 1 answers failed and count as 0.", "vote: 1 answers fell back to a candidate.")


def test_strata_follow_the_number_of_right_candidates(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, 0.5, pool=pool) for i, pool in enumerate([(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (1.0, 1.0)])]
    (row,) = strata_table(summarize(config, records), records).rows
    assert [cell[-3:] for cell in row[1:]] == ["(1)", "(1)", "(2)"]


def test_names_are_shown_as_they_are(config: CompareConfig, record: Make) -> None:
    odd = replace(config, strategies=(replace(config.strategies[0], name="[bold]a|b"),))
    table = quality_table(summarize(odd, [record("[bold]a|b", 0, 1.0)]))
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(table.rich())
    assert "[bold]a|b" in console.export_text()
    assert "| [bold]a\\|b |" in table.markdown()


def test_table_fits_a_narrow_terminal(config: CompareConfig, record: Make) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(quality_table(summarize(config, records_of(record))).rich())
    text = console.export_text()
    assert "[+50.0,+50.0]" in text
    assert max(map(len, text.splitlines())) <= 80
