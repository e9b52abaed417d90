"""What a comparison from Python returns: a table to print, a verdict, a frame, a page, and the records behind them."""

from __future__ import annotations

import html
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dspy_fusion.programs.extras import needs

from ..evidence.summary import Summary
from ..evidence.verdict import Verdict
from ..presentation.safe_console import SafeConsole
from ..records.record import Record
from ..reports.tables import to_csv
from ..reports.views import Views
from ..runs.run_folder import Run
from .comparison_workflow import show

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 118


@dataclass(frozen=True, repr=False)
class ComparisonResult:
    """A comparison that ran; ``print(result)`` shows its tables, notes and verdict.

    Attributes:
        run: its configuration, folder and records.
        views: what was made of them.
        tracking_uri: of the MLflow store that was told; empty where none was.
        finished: whether every program answered every example; an interrupted one goes on with the same call.
    """

    run: Run
    views: Views
    tracking_uri: str
    finished: bool

    @property
    def verdict(self) -> Verdict:
        """Whether fusing is worth it here, and the cheapest way that is as good as the best."""
        return self.views.verdict

    @property
    def summary(self) -> Summary:
        """All numbers; scores in [0, 1]."""
        return self.views.summary

    @property
    def records(self) -> tuple[Record, ...]:
        """What each program did on each example."""
        return self.run.records

    @property
    def folder(self) -> Path:
        """Where records, candidates, tables, figures and the page lie."""
        return self.run.folder.path

    def to_pandas(self) -> pd.DataFrame:
        """One row a program, every number unrounded; scores in [0, 1], costs as means per answer.

        Raises:
            MissingExtra: pandas is not installed.
        """
        with needs("to_pandas()", "tasks"):
            import pandas as pd
        return pd.read_csv(io.StringIO(to_csv(self.summary)))

    def save_report(self, path: str | Path) -> Path:
        """Writes the page, one HTML file that needs no network, to a path; returns the path."""
        return Path(shutil.copyfile(self.views.page, Path(path).expanduser()))

    def __str__(self) -> str:
        text = io.StringIO()
        show(self.views, SafeConsole(file=text, width=_WIDTH, color_system=None))
        return text.getvalue().rstrip()

    def __repr__(self) -> str:
        scores = ", ".join(f"{row.strategy.name} {100 * row.score.mean:.1f} %" for row in self.summary.rows)
        return f"<comparison in {self.folder}: {scores}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
