"""What is made of a run's records: tables, verdict, figures and page.

All of it can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..evidence import Evidence, evidence_tables, gather
from ..evidence.summary import Summary, summarize
from ..evidence.verdict import Verdict, judge
from ..runs.run_folder import Run
from .page import render_page
from .tables import to_csv, to_markdown

if TYPE_CHECKING:
    from ..presentation.figure import Plot


@dataclass(frozen=True)
class Views:
    """The views of a run, and where they were written."""

    summary: Summary
    verdict: Verdict
    evidence: Evidence
    plots: tuple[Plot, ...]
    page: Path
    tables: tuple[Path, ...]


def write_views(run: Run) -> Views:
    """Makes tables, figures and the page of a run, finished or not, in its folder."""
    from .evidence_plots import draw_evidence  # matplotlib is loaded only where figures are drawn
    from .plots import draw_plots, strategy_colors
    from .sureness_plots import draw_sureness

    folder, summary = run.folder, summarize(run.config, run.records, examples=run.examples, set_aside=run.set_aside)
    verdict, evidence = judge(summary), gather(summary, run.records)
    plots = (
        *draw_plots(summary, folder.plots),
        *draw_evidence(summary, run.records, evidence, folder.plots),
        *draw_sureness(evidence.sureness, strategy_colors(summary), folder.plots),
    )
    markdown, table = folder.path / "table.md", folder.path / "table.csv"
    markdown.write_text(to_markdown(summary, str(verdict), evidence_tables(evidence)), encoding="utf-8")
    table.write_text(to_csv(summary), encoding="utf-8")
    folder.page.write_text(render_page(run, summary, verdict, evidence, plots), encoding="utf-8")
    return Views(summary, verdict, evidence, plots, folder.page, (markdown, table))
