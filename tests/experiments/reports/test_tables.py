from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.presentation.text_table import TextTable, p_text
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.reports.tables import aspect_table, cost_table, notes, quality_table, to_csv, to_markdown

Make = Callable[..., Record]


def records_of(record: Make) -> list[Record]:
    return [
        record(name, i, score) for name, score in (("single", 0.5), ("oracle", 0.75), ("fusion", 1.0)) for i in range(3)
    ]


def test_scores_are_per_cent_with_intervals(config: CompareConfig, record: Make) -> None:
    rows = {row[0]: row for row in quality_table(summarize(config, records_of(record))).rows}
    assert rows["single"][:4] == ("single", "3", "50.0 [50.0, 50.0]", "reference")
    assert rows["fusion"][3] == "+50.0 [+50.0, +50.0]"


def test_differences_beyond_chance_are_starred_or_have_their_p(config: CompareConfig, record: Make) -> None:
    records = [record(name, i, score) for name, score in (("single", 0.5), ("fusion", 1.0)) for i in range(9)]
    summary = summarize(config, records)
    assert quality_table(summary).rows[1][3] == "+50.0 [+50.0, +50.0]*"
    assert quality_table(summary, p_values=True).rows[1][3:5] == ("+50.0 [+50.0, +50.0]", "0.004*")


def test_it_is_said_against_what_is_won_and_lost(config: CompareConfig, record: Make) -> None:
    table = quality_table(summarize(config, records_of(record)))
    assert table.rows[-1][-1] == "3-0-0"
    assert table.note.endswith("Won, tied, lost: against the best candidate of its own pool.")


def test_oracle_is_labelled_as_using_the_answers(config: CompareConfig, record: Make) -> None:
    assert "oracle (uses the answers)" in quality_table(summarize(config, records_of(record))).markdown()


def test_costs_are_split_by_role(config: CompareConfig, record: Make) -> None:
    table = cost_table(summarize(config, records_of(record)))
    assert table.rows[0][1:] == ("3.0", "2.0", "150", "30", "100/20", "50/10", "0.50")


def test_csv_is_unrounded_and_in_unit_scores(config: CompareConfig, record: Make) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(summarize(config, records_of(record))))))
    assert (rows[-1]["strategy"], float(rows[-1]["score_mean"]), float(rows[-1]["fusor_tokens_in"])) == (
        "fusion",
        1.0,
        50.0,
    )


def test_unfinished_and_failed_answers_are_noted(config: CompareConfig, record: Make) -> None:
    found = notes(summarize(config, [record("vote", 0, 0.0, error="x", fallback="late")]))
    assert found == (
        "Unfinished: 1 of 28 records.",
        "vote: 1 answers failed and count as 0.",
        "vote: 1 answers fell back to a candidate.",
    )


def test_further_scores_have_a_column_each(config: CompareConfig, record: Make) -> None:
    records = [record("single", 0, 1.0, aspects={"loose": 0.75}), record("vote", 0, 0.5)]
    table = aspect_table(summarize(config, records))
    assert (table.heads, table.rows) == (("strategy", "loose"), (("single", "75.0"), ("vote", "")))


def test_a_task_without_further_scores_has_no_such_table(config: CompareConfig, record: Make) -> None:
    assert "Further scores" not in to_markdown(summarize(config, records_of(record)), "verdict")


def test_small_p_values_are_starred() -> None:
    assert [p_text(p) for p in (None, 0.5, 0.04, 0.0001)] == ["", "0.500", "0.040*", "<0.001*"]


def test_cells_that_stand_out_are_bold() -> None:
    table = TextTable("t", ("a", "b"), (("x", "1"), ("y", "2")), frozenset({(1, 1)}))
    assert table.markdown().splitlines()[-1] == "| y | **2** |"


def test_a_line_break_in_a_name_does_not_break_the_table() -> None:
    assert TextTable("t", ("a",), (("x\ny",),)).markdown().splitlines()[-1] == "| x y |"


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
