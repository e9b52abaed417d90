"""A table of texts, for the terminal (rich), for a document (Markdown) and for the page,
and how numbers are written in one.

Percentages are made here only; everywhere else a score is in [0, 1].
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rich import box
from rich.markup import escape as _escaped
from rich.table import Table

from ..statistics.intervals import Interval
from ..statistics.significance import ALPHA
from .page_text import visible


@dataclass(frozen=True)
class TextTable:
    """A title, column heads and rows of one length; the first column is left-aligned."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the cells that stand out, both from 0."""
    note: str = ""
    """What a reader must know to read it, in a sentence or two."""

    def rich(self) -> Table:
        """For the terminal."""
        style = {"title_justify": "left", "title_style": "bold", "header_style": "bold", "box": box.SIMPLE_HEAD}
        table = Table(title=escape(self.title), padding=(0, 1, 0, 0), show_edge=False, **style)
        if self.note:
            table.caption, table.caption_justify = escape(self.note), "left"
        table.add_column(escape(self.heads[0]), overflow="fold")
        for head in self.heads[1:]:
            table.add_column(escape(head), justify="right", overflow="fold")
        for y, (name, *cells) in enumerate(self.rows):
            # a narrow terminal then breaks before an interval
            texts = [escape(cell.replace(", ", ",")) for cell in cells]
            table.add_row(
                escape(name),
                *(f"[bold]{cell}[/bold]" if (y, x) in self.best else cell for x, cell in enumerate(texts, 1)),
            )
        return table

    def markdown(self) -> str:
        """For a document."""
        marked = [
            tuple(f"**{cell}**" if (y, x) in self.best else cell for x, cell in enumerate(row))
            for y, row in enumerate(self.rows)
        ]
        lines = [self.heads, tuple(["---", *["---:"] * (len(self.heads) - 1)]), *marked]
        return "\n".join(
            "| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
        )


def escape(text: str) -> str:
    """A text for the terminal: no markup, and nothing that would move the cursor or reorder the line."""
    return _escaped(visible(text))


def amount(value: float, *, sign: str = "") -> str:
    """A cost, in whatever it is counted: whole from a thousand on, four digits below; ``sign="+"`` always signs."""
    return format(value, f"{sign},.0f" if abs(value) >= 1000 else f"{sign}.4g")


def percent(estimate: Interval) -> str:
    """A score in per cent with its interval."""
    return f"{100 * estimate.mean:.1f}" + _interval(estimate, "")


def points(estimate: Interval) -> str:
    """A difference in percentage points with its interval, signs shown."""
    return f"{100 * estimate.mean:+.1f}" + _interval(estimate, "+")


def number(estimate: Interval, *, sign: str = "") -> str:
    """A ratio or a correlation with its interval; ``sign="+"`` shows signs."""
    ends = " [one example]" if math.isnan(estimate.low) else f" [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"
    return f"{estimate.mean:{sign}.2f}{ends}"


def p_text(p: float | None) -> str:
    """A p value, starred where it counts as a difference; empty where there is none."""
    if p is None:
        return ""
    return ("<0.001" if p < 0.001 else f"{p:.3f}") + starred(p)


def starred(p: float | None) -> str:
    """A star where a p value counts as a difference."""
    return "*" if p is not None and p < ALPHA else ""


def _interval(estimate: Interval, sign: str) -> str:
    if not math.isfinite(estimate.low):
        return " [one example]"
    return f" [{100 * estimate.low:{sign}.1f}, {100 * estimate.high:{sign}.1f}]"


def _one_line(cell: str) -> str:
    return visible(" ".join(cell.splitlines()))


def slug(name: str) -> str:
    """A name with nothing but letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_")
