"""The counts of a synthesis as tables for a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from .totals import Totals


def teacher_table(totals: Totals) -> Table:
    """What each teacher did; the last column where candidates were scored."""
    scored = bool(totals.best)
    table = _table("Teachers", "teacher", "answers", "failures", *(["best"] if scored else []))
    for name, counts in totals.plain()["teachers"].items():
        share = f"{counts['best']} ({counts['best'] / max(1, sum(totals.best.values())):.0%})"
        table.add_row(name, str(counts["answered"]), str(counts["failed"]), *([share] if scored else []))
    return table


def row_table(totals: Totals) -> Table:
    """What became of the rows."""
    table = _table("Rows", "", "rows", "share")
    for name, count in {
        "kept": totals.kept,
        **{f"dropped: {gate}": n for gate, n in totals.plain()["dropped"].items()},
    }.items():
        table.add_row(name, str(count), f"{count / max(1, totals.rows):.1%}")
    return table


def cost_table(totals: Totals) -> Table:
    """What it cost by role."""
    table = _table("Cost", "role", "calls", "tokens in", "tokens out")
    for role, usage in totals.usage.items():
        table.add_row(role, f"{usage.calls:,}", f"{usage.tokens_in:,}", f"{usage.tokens_out:,}")
    return table


def _table(title: str, first: str, *rest: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column(first)
    for head in rest:
        table.add_column(head, justify="right")
    return table
