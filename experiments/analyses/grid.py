"""Width and depth of propose-and-aggregate (AFT, arXiv 2501.11877, figure 8).

A comparison with one strategy for each pair of the two.

Since it is a comparison, it is resumed, reported and counted like any other, and all its strategies stand on the same
proposals: the first of the widest ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from ..evidence.summary import Row, Summary
from ..plans.comparison_config import CompareConfig, StrategyConfig
from ..presentation.text_table import TextTable, percent, points
from ..statistics.intervals import Interval, Scores, paired_difference
from .output import Findings

SINGLE = "a single answer"


@dataclass(frozen=True)
class Cell:
    """One width and depth."""

    width: int
    depth: int
    row: Row


def grid_config(
    task: str,
    models: Sequence[str],
    *,
    fusor: str,
    widths: Sequence[int],
    depths: Sequence[int],
    options: dict[str, Any],
    **settings: Any,
) -> CompareConfig:
    """The comparison that a grid is.

    Args:
        task: name of the task.
        models: the pool; proposal i is drawn from model i modulo their number.
        fusor: writes the aggregations; empty takes the pool's first.
        widths: proposals a layer, each at least 1.
        depths: layers of aggregation, each at least 1; a single answer stands for none.
        options: further ones of ``ProposeAggregate``.
        **settings: other fields of :class:`CompareConfig`.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    for name, values in (("widths", widths), ("depths", depths)):
        if not values or min(values) < 1:
            raise ConfigurationError(f"{name} must be numbers from 1, but got {name}={','.join(map(str, values))!r}")
    pool = "all" if len(models) > 1 else models[0]
    cells = [
        StrategyConfig(
            _name(width, depth), "propose_aggregate", pool, n=width, fusor=fusor, options={"depth": depth, **options}
        )
        for depth in sorted(set(depths))
        for width in sorted(set(widths))
    ]
    pools = {"all": tuple(models)} if len(models) > 1 else {}
    strategies = (StrategyConfig(SINGLE, "single", pool), *cells)
    return CompareConfig(task=task, strategies=strategies, pools=pools, n=max(widths), **settings)


def grid_cells(summary: Summary) -> tuple[Cell, ...]:
    """The cells that have records, by depth and then by width."""
    fused = [row for row in summary.rows if row.strategy.program == "propose_aggregate"]
    return tuple(Cell(row.strategy.n, int(row.strategy.options["depth"]), row) for row in fused)


def grid_findings(summary: Summary) -> Findings:
    """Tables and records of a grid, finished or not."""
    cells = {(cell.width, cell.depth): cell.row for cell in grid_cells(summary)}
    widths, depths = (sorted({key[place] for key in cells}) for place in (0, 1))
    single = next(row for row in summary.rows if row.strategy.name == SINGLE)
    heads = ("depth", *(f"width {width}" for width in widths))
    scores = tuple((str(depth), *(_score(cells.get((width, depth))) for width in widths)) for depth in depths)
    title = (
        f"{summary.config.task}: score % by width and depth, {single.score.n} examples x {summary.config.seeds} seeds"
    )
    note = (
        f"A single answer: {percent(single.score)}. Width 1 is sequential revision, depth 1 fusion; intervals resample"
        " examples."
    )
    gains = tuple(
        (name, points(_gain(summary, to.scores, start.scores)))
        for name, to, start in _contrasts(cells, widths, depths, single)
    )
    records = [{"width": 1, "depth": 0, **asdict(single.score), "calls": single.cost.calls, "tokens": single.tokens}]
    records += [
        {"width": width, "depth": depth, **asdict(row.score), "calls": row.cost.calls, "tokens": row.tokens}
        for (width, depth), row in cells.items()
    ]
    tables = (
        TextTable(title, heads, scores, note=note),
        TextTable("What more of each gains", ("", "points [95 %]"), gains),
    )
    return Findings("grid", tables, records)


def _contrasts(
    cells: dict[tuple[int, int], Row], widths: Sequence[int], depths: Sequence[int], single: Row
) -> list[tuple[str, Row, Row]]:
    """Names with two rows.

    Widest and narrowest at each depth, deepest and shallowest at each width, the largest and a single answer.
    """
    contrasts = []
    if len(widths) > 1:
        contrasts += [
            (f"width {widths[0]} to {widths[-1]} at depth {d}", (widths[-1], d), (widths[0], d)) for d in depths
        ]
    if len(depths) > 1:
        contrasts += [
            (f"depth {depths[0]} to {depths[-1]} at width {w}", (w, depths[-1]), (w, depths[0])) for w in widths
        ]
    pairs = [(name, cells[to], cells[start]) for name, to, start in contrasts if to in cells and start in cells]
    last = (widths[-1], depths[-1])
    return [*pairs, *([(f"a single answer to {_name(*last)}", cells[last], single)] if last in cells else [])]


def _gain(summary: Summary, to: Scores, start: Scores) -> Interval:
    return paired_difference(to, start, strata=summary.groups)


def _score(row: Row | None) -> str:
    return percent(row.score) if row else ""


def _name(width: int, depth: int) -> str:
    return f"width {width}, depth {depth}"
