"""Text that others wrote moves no cursor, reorders no line, and runs in no spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.presentation.figure import new_figure, save_figure
from dspy_fusion.experiments.presentation.page_text import spreadsheet_cell
from dspy_fusion.experiments.presentation.safe_console import SafeConsole
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


def test_nothing_that_a_command_prints_moves_the_cursor(tmp_path: Path) -> None:
    said = io.StringIO()
    console = SafeConsole(file=said, width=200, force_terminal=True, color_system="standard")
    console.print(f"[bold]{escape(HOSTILE)}[/bold]", f"plain {HOSTILE}", markup=True)
    console.print(HOSTILE, markup=False)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue())  # rich's own colors
    assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(text)
    assert text.count("[U+001B]]0;owned[U+0007][U+001B][2Jb[U+202E]c[U+200B]d") >= 5
    assert "\x1b[1m" in said.getvalue()


def test_an_error_shows_what_would_not_be_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / "absent\x1b[2J.toml")]) == 2
    told = capsys.readouterr()
    assert "absent[U+001B][2J.toml" in told.err
    assert "\x1b" not in told.out + told.err
