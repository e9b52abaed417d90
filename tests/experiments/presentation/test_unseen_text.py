"""Text that others wrote moves no cursor, reorders no line, and runs in no spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from rich.console import Console

from dspy_fusion.experiments.presentation.figure import new_figure, save_figure
from dspy_fusion.experiments.presentation.page_text import spreadsheet_cell
from dspy_fusion.experiments.presentation.text_table import TextTable

HOSTILE = "a\x1b]0;owned\x07\x1b[2Jb\u202ec\u200bd"


def test_tables_show_what_would_not_be_seen() -> None:
    table = TextTable(HOSTILE, ("name", HOSTILE), ((HOSTILE, HOSTILE),), note=HOSTILE)
    console = Console(width=400, file=open("/dev/null", "w"), record=True)
    console.print(table.rich())
    for text in (console.export_text(), table.markdown()):
        assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(text)
        assert "[U+001B]" in text


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd|x", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_is_text(text: str, tmp_path: Path) -> None:
    assert str(spreadsheet_cell(text)).startswith(("'", "[U+000D]"))
    figure, axes = new_figure(2, 2)
    axes.plot([1, 2])
    plot = save_figure(figure, tmp_path / "plot", "title", "caption", [{"name": text, "value": -1.5}])
    (row,) = csv.DictReader(plot.data.open(encoding="utf-8"))
    assert not row["name"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["value"] == "-1.5"


def test_signed_numbers_stay_numbers() -> None:
    assert [spreadsheet_cell(value) for value in ("-1.5", "+2", -3, 1e-9)] == ["-1.5", "+2", -3, 1e-9]
