"""The page of a run.

One HTML file with a tab each for overview, groups, examples and evidence, which asks no network for anything.

Tabs and filters are links, radio buttons and style rules; the page runs no script, so that nothing in an answer ever
could.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from dspy_fusion.programs.errors import ConfigurationError

from ..evidence import Evidence, evidence_tables
from ..evidence.contests import contest_table
from ..evidence.per_group import group_table
from ..evidence.side_by_side import OUTCOMES, Marker, gallery
from ..evidence.summary import Summary
from ..evidence.verdict import Verdict
from ..presentation.page_text import visible
from ..presentation.text_table import TextTable
from ..runs.run_folder import Run
from ..tasks import loaded_task
from .tables import aspect_table, cost_table, notes, pass_table, pool_table, quality_table

if TYPE_CHECKING:
    from ..presentation.figure import Plot


def render_page(run: Run, summary: Summary, verdict: Verdict, evidence: Evidence, plots: Sequence[Plot]) -> str:
    """The page as text."""
    from .plots import strategy_colors  # matplotlib is loaded only where figures are drawn

    overview = (
        quality_table(summary, p_values=True),
        aspect_table(summary),
        cost_table(summary),
        pool_table(summary),
        pass_table(summary),
    )
    by_group = group_table(evidence.groups) if evidence.groups else None
    proof = [
        contest_table(verdict.fused, verdict.contests),
        *(table for table in evidence_tables(evidence) if table != by_group),
    ]
    return (
        templates()
        .get_template("report.html")
        .render(
            title=run.config.title or f"{run.config.task}: {len(run.config.strategies)} strategies compared",
            run=run,
            summary=summary,
            verdict=verdict,
            notes=notes(summary),
            overview=_with_rows(overview),
            by_group=by_group,
            evidence=_with_rows(proof),
            colors=strategy_colors(summary),
            plots=pictures(plots),
            gallery=gallery(summary, run.records, _marker(run.config.task)),
            outcomes=OUTCOMES,
            config=json.dumps(run.config.relevant, indent=1, ensure_ascii=False),
            about=run.about,
            setup=_setup(run),
        )
    )


def templates() -> Environment:
    """Where pages come from; whatever is put into one is escaped, and what cannot be seen is shown."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        undefined=StrictUndefined,
        finalize=visible,
    )


def pictures(plots: Sequence[Plot]) -> dict[str, dict[str, Any]]:
    """Figures as a page holds them, by their files' names."""
    return {plot.png.stem: {"plot": plot, "image": base64.b64encode(plot.svg.read_bytes()).decode()} for plot in plots}


def _setup(run: Run) -> dict[str, str]:
    """Everything that the numbers depend on, as a page says it."""
    config, examples = run.config, run.about.get("examples") or {}
    told: dict[str, Any] = {"task": config.task, "split": config.split, "data": config.data or "the task's own"}
    told |= {"examples": f"{run.examples} (digest {examples.get('digest', 'not kept')}, {run.set_aside} set aside)"}
    told |= {"metric": config.metric or "the task's own", "answers an example": config.seeds, "seed": config.seed}
    told |= {"candidates": config.n, "temperature": config.temperature, "adapter": config.adapter or "the task's own"}
    told |= {"metric judge": config.metric_judge, "solved examples in prompts": config.shots or ""}
    told |= {f"pool {name}": ", ".join(models) for name, models in config.pools.items()}
    told |= {name: _model(value) for name, value in (run.about.get("models") or {}).items()}
    told |= {"reference": config.reference_name, "configuration": config.digest, "folder": run.folder.path.name}
    told |= {"begun": run.about.get("started", ""), **run.about.get("environment", {})}
    return {name: str(value) for name, value in told.items() if value not in ("", None)}


def _model(value: Any) -> str:
    """What a model's name stands for, or a program's digest."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_model, value)))
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name} {item}" for name, item in value.items() if item not in (None, "", {}, []))


def _with_rows(tables: Iterable[TextTable]) -> list[TextTable]:
    return [table for table in tables if table.rows]


def _marker(task: str) -> Marker | None:
    """How the task tells right lines from wrong ones.

    A report can also be made where the task itself cannot be loaded.
    """
    try:
        made = loaded_task(task)
    except ConfigurationError:
        return None
    return made.right_lines if made else None
