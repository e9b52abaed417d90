"""The page of a run: one HTML file that holds its tables, figures and examples, and asks no network for anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from .figure_style import COLORS
from .plots import Plot
from .records import Record
from .run_folder import Run
from .summary import Summary
from .tables import cost_table, notes, pass_table, pool_table, quality_table, strata_table
from .tasks import load_task
from .verdict import Verdict

_EXAMPLES_SHOWN = 5


@dataclass(frozen=True)
class Line:
    """A line of an answer, and whether it is right; None where that cannot be told."""

    text: str
    right: bool | None


@dataclass(frozen=True)
class Column:
    """One answer of an example shown side by side."""

    head: str
    score: float
    lines: tuple[Line, ...]
    fused: bool = False


@dataclass(frozen=True)
class Shown:
    """An example shown side by side: the question, the candidates and the fused answer."""

    name: str
    remark: str
    question: tuple[str, ...]
    columns: tuple[Column, ...]


def render_page(run: Run, summary: Summary, verdict: Verdict, plots: Sequence[Plot]) -> str:
    """The page as text."""
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    page = Environment(loader=loader, autoescape=select_autoescape(default=True), trim_blocks=True).get_template("report.html")
    return page.render(
        title=run.config.title or f"{run.config.task}: {len(run.config.strategies)} strategies compared",
        run=run,
        summary=summary,
        verdict=verdict,
        tables=[quality_table(summary), cost_table(summary), pool_table(summary), pass_table(summary), strata_table(summary, run.records)],
        colors={row.strategy.name: COLORS[row.strategy.program] for row in summary.rows},
        notes=notes(summary),
        plots=[{"plot": plot, "image": base64.b64encode(plot.svg.read_bytes()).decode()} for plot in plots],
        examples=[_shown(run, record) for record in _telling(summary, run.records)],
        config=json.dumps(run.config.relevant, indent=1, ensure_ascii=False),
        about=run.about,
    )


def _telling(summary: Summary, records: Sequence[Record]) -> list[Record]:
    """A few fused answers that show the range: better than the best candidate, as good, worse, and with something new."""
    fusing = {row.strategy.name for row in summary.rows if row.strategy.role == "fuse"}
    first = next((row.strategy.name for row in summary.rows if row.strategy.name in fusing), None)
    usable = [r for r in records if r.strategy == first and r.candidates and r.error is None]
    ordered = sorted(usable, key=lambda r: (-(r.score - (r.best_candidate or 0.0)), r.example, r.seed))
    if len(ordered) <= _EXAMPLES_SHOWN:
        return ordered
    places = sorted({round(i * (len(ordered) - 1) / (_EXAMPLES_SHOWN - 1)) for i in range(_EXAMPLES_SHOWN)})
    return [ordered[place] for place in places]


def _shown(run: Run, record: Record) -> Shown:
    candidates = [Column(f"candidate {i}: {c.model}", c.score, _lines(run, record, c.text)) for i, c in enumerate(record.candidates)]
    fused = Column(record.strategy, record.score, _lines(run, record, record.answer), fused=True)
    best = record.best_candidate or 0.0
    standing = "better than" if record.score > best else "as good as" if record.score == best else "worse than"
    question = "\n".join(str(value) for value in record.inputs.values())
    return Shown(record.example, f"the fused answer is {standing} the best candidate", tuple(question.splitlines()), (*candidates, fused))


def _lines(run: Run, record: Record, answer: str | None) -> tuple[Line, ...]:
    if answer is None:
        return (Line("(failed)", False),)
    mark: Any = load_task(run.config.task).right_lines
    marks = mark(record.expected, answer) if mark else [None] * len(answer.splitlines())
    return tuple(Line(text, right) for text, right in zip(answer.splitlines(), marks, strict=True))
