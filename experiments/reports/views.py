"""What is made of a run's records: tables, verdict, figures, page, and the metrics that MLflow is told.

All of it can be made again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evidence import Evidence, evidence_tables, gather
from ..evidence.summary import Summary, summarize
from ..evidence.verdict import Verdict, judge
from ..presentation.figure import Plot
from ..presentation.text_table import slug
from ..records.outbox import Told
from ..runs.run_folder import Run
from .evidence_plots import draw_evidence
from .page import render_page
from .plots import draw_plots
from .tables import to_csv, to_markdown


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
    folder, summary = run.folder, summarize(run.config, run.records, examples=run.examples, set_aside=run.set_aside)
    verdict, evidence = judge(summary), gather(summary, run.records)
    plots = (*draw_plots(summary, folder.plots), *draw_evidence(summary, run.records, evidence, folder.plots))
    markdown, table = folder.path / "table.md", folder.path / "table.csv"
    markdown.write_text(to_markdown(summary, str(verdict), evidence_tables(evidence)), encoding="utf-8")
    table.write_text(to_csv(summary), encoding="utf-8")
    folder.page.write_text(render_page(run, summary, verdict, evidence, plots), encoding="utf-8")
    return Views(summary, verdict, evidence, plots, folder.page, (markdown, table))


def tracked(run: Run, views: Views) -> Told:
    """What MLflow is told of a run."""
    folder = run.folder
    files = (folder.about, folder.records, folder.page, *views.tables, folder.plots, folder.programs)
    finished = views.summary.found >= views.summary.expected
    return Told(
        parameters=_parameters(run),
        metrics=_metrics(views.summary),
        tags={"verdict": str(views.verdict)},
        files=[path.name for path in files],
        status="FINISHED" if finished else "KILLED",
    )


def _parameters(run: Run) -> dict[str, Any]:
    config = run.config
    names = ("task", "split", "examples", "seeds", "n", "temperature")
    found: dict[str, Any] = {name: getattr(config, name) for name in names}
    found |= {"reference": config.reference_name, "digest": config.digest}
    found |= {f"pool.{name}": ", ".join(models) for name, models in config.pools.items()}
    for strategy in config.strategies:
        told = {key: value for key, value in vars(strategy).items() if value and key not in ("name", "every_n")}
        found[f"strategy.{slug(strategy.name)}"] = ", ".join(f"{key}={value}" for key, value in told.items())
    return found


def _metrics(summary: Summary) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in summary.rows:
        values = {
            "score": row.score.mean,
            "score_low": row.score.low,
            "score_high": row.score.high,
            "fully_right": row.whole.mean,
        }
        values |= {"calls": row.cost.calls, "tokens_in": row.cost.tokens_in, "tokens_out": row.cost.tokens_out}
        values |= {"cost_usd": row.cost_usd, "depth": row.depth, "seconds": row.seconds, "failures": row.failures}
        values |= {"wins": row.wins, "ties": row.ties, "losses": row.losses}
        if row.difference is not None:
            values |= {
                "difference": row.difference.mean,
                "difference_low": row.difference.low,
                "difference_high": row.difference.high,
            }
        values |= {"p_holm": row.p_holm} if row.p_holm is not None else {}
        values |= {f"aspect_{slug(name)}": value for name, value in row.aspects.items()}
        found |= {f"{key}/{slug(row.strategy.name)}": float(value) for key, value in values.items()}
    for pool in summary.pools:
        values = {
            "oracle": pool.oracle.mean,
            "mean_candidate": pool.single.mean,
            "beta": pool.beta,
            "beta_upper": pool.beta_upper,
        }
        found |= {f"{key}/pool_{slug(pool.name)}": value for key, value in values.items()}
    return {key: value for key, value in found.items() if not math.isnan(value)}
