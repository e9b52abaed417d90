"""A page of tables: what was recommended and why, the numbers, a figure, and how it was set up.

One HTML file that asks no network for anything and runs no script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..presentation.text_table import TextTable
from .page import pictures, templates

if TYPE_CHECKING:
    from ..presentation.figure import Plot


@dataclass(frozen=True)
class TablesPage:
    """What such a page says.

    Attributes:
        title: its head.
        about: one line below it.
        head: the recommendation.
        because: its reasons.
        parts: further lists, by their heads.
        notes: what a reader must know.
        tables: in order.
        plots: figures below the tables.
        setup: names and values.
    """

    title: str
    about: str
    head: str
    because: Sequence[str]
    tables: Sequence[TextTable]
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    plots: Sequence[Plot] = ()
    setup: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """The page as text."""
        return (
            templates()
            .get_template("tables.html")
            .render(
                title=self.title,
                tabs=[],
                gallery={"names": []},
                outcomes=[],
                about=self.about,
                head=self.head,
                because=self.because,
                parts=[{"head": head, "lines": lines} for head, lines in self.parts.items()],
                notes=self.notes,
                tables=[table for table in self.tables if table.rows],
                plots=pictures(self.plots),
                setup=self.setup,
            )
        )
