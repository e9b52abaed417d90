"""The figures of quality against cost and against N;
each figure is a PNG and an SVG with its data in a CSV beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..evidence.summary import Row, Summary
from ..presentation.figure import Plot, new_figure, save_figure
from ..presentation.figure_style import MARKERS, STYLE, colors_of
from ..presentation.label_layout import Box, spread
from ..presentation.point_labels import Label, label_ends, label_points
from ..statistics.intervals import Interval


def draw_plots(summary: Summary, folder: Path) -> tuple[Plot, ...]:
    """Draws the figures of quality against cost and against N, as far as there is data, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = []
    with mpl.rc_context(STYLE):
        if any(row.tokens for row in summary.rows):
            plots.append(_quality_against_tokens(summary, folder))
        if summary.curve:
            plots.append(_quality_against_n(summary, folder))
    return tuple(plots)


def strategy_colors(summary: Summary) -> dict[str, str]:
    """The colour of each strategy, in figures and beside its name in tables; points of an N curve have its own."""
    strategies = [row.strategy for row in summary.points]
    colors = colors_of({strategy.curve_of or strategy.name: strategy.program for strategy in strategies})
    return {strategy.name: colors[strategy.curve_of or strategy.name] for strategy in strategies} | colors


def _quality_against_tokens(summary: Summary, folder: Path) -> Plot:
    figure, axes = new_figure(9.0, 5.8)
    rows = [row for row in summary.rows if row.tokens]  # where a server reports none, there is no place on the axis
    xs, colors = _set_apart([row.tokens for row in rows]), strategy_colors(summary)
    for x, row in zip(xs, rows, strict=True):
        color, hollow = colors[row.strategy.name], row.strategy.role == "oracle"
        axes.errorbar(
            [x],
            [100 * row.score.mean],
            yerr=_bars([row.score]),
            color=color,
            capsize=2.5,
            elinewidth=1.2,
            marker=MARKERS[row.strategy.role],
            markersize=11 if hollow else 7,
            mfc="white" if hollow else color,
            zorder=3,
        )
    wide = max(xs) > 3 * min(xs)  # a log axis over less has hardly a tick
    axes.set_xscale("log" if wide else "linear")
    axes.margins(x=0.12, y=0.1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if str(int(value))[0] in "25" else "")
    )
    axes.set_xlabel(f"tokens per answer, in and out, candidates included{' (log scale)' if wide else ''}")
    axes.set_ylabel("score (%)")
    labels = [
        Label(row.strategy.name, x, 100 * row.score.mean, colors[row.strategy.name])
        for x, row in zip(xs, rows, strict=True)
    ]
    label_points(figure, axes, labels, lambda anchors: _obstacles(axes, rows, anchors))
    caption = (
        f"Mean score against mean tokens per answer. {_basis(summary)} Points of nearly equal cost are set apart a"
        " little. The hollow star is the oracle, which uses the right answers."
    )
    data = [_point(row) for row in rows]
    return save_figure(figure, folder / "quality_against_tokens", "Quality against tokens", caption, data)


def _quality_against_n(summary: Summary, folder: Path) -> Plot:
    figure, axes = new_figure(8.2, 5.0)
    lines: dict[str, list[Row]] = {}
    for point in summary.curve:
        lines.setdefault(point.strategy.curve_of or point.strategy.name, []).append(point)
    ends, colors = [], strategy_colors(summary)
    for name, points in lines.items():
        color, style = colors[name], "--" if points[-1].strategy.program == "oracle" else "-"
        xs, estimates = [point.strategy.n for point in points], [point.score for point in points]
        ys = [100 * estimate.mean for estimate in estimates]
        axes.plot(xs, ys, style, color=color, marker="o", markersize=4, linewidth=1.8, zorder=3)
        lows, highs = ([100 * getattr(e, end) for e in estimates] for end in ("low", "high"))
        axes.fill_between(xs, lows, highs, color=color, alpha=0.12, linewidth=0)
        ends.append(Label(name, xs[-1], ys[-1], color))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("candidates N (the first N of the same pool)")
    axes.set_ylabel("score (%)")
    label_ends(figure, axes, ends)
    caption = f"Mean score with the first N candidates of the same pool. {_basis(summary)} Bands are the intervals."
    data = [_curve_point(name, point) for name, points in lines.items() for point in points]
    return save_figure(figure, folder / "quality_against_n", "Quality against the number of candidates", caption, data)


def _obstacles(axes: Axes, rows: Sequence[Row], anchors: Sequence[tuple[float, float]]) -> list[Box]:
    boxes = []
    for row, (x, y) in zip(rows, anchors, strict=True):
        boxes.append(Box(x - 6, y - 6, x + 6, y + 6))
        if not math.isnan(row.score.low):
            bottom, top = (axes.transData.transform((1, 100 * end))[1] for end in (row.score.low, row.score.high))
            boxes.append(Box(x - 3, bottom, x + 3, top))
    return boxes


def _set_apart(tokens: Sequence[float]) -> list[float]:
    """The token counts, those that would lie on one another moved apart by a hundredth of the axis."""
    logs = [math.log(count) for count in tokens]
    gap = max(0.1, max(logs) - min(logs)) / 70
    return [math.exp(value) for value in spread(logs, gap)]


def _bars(estimates: Sequence[Interval]) -> list[list[float]]:
    return [[100 * max(0.0, e.mean - e.low) for e in estimates], [100 * max(0.0, e.high - e.mean) for e in estimates]]


def _basis(summary: Summary) -> str:
    n = max(row.score.n for row in summary.rows)
    seeds = f", {summary.config.seeds} seeds each" if summary.config.seeds > 1 else ""
    return f"{n} examples{seeds}; 95 % intervals resample the examples."


def _point(row: Row) -> dict[str, Any]:
    score = {"score": row.score.mean, "low": row.score.low, "high": row.score.high, "examples": row.score.n}
    return {"strategy": row.strategy.name, "program": row.strategy.program, "tokens": row.tokens, **score}


def _curve_point(name: str, point: Row) -> dict[str, Any]:
    return {
        "strategy": name,
        "n": point.strategy.n,
        "score": point.score.mean,
        "low": point.score.low,
        "high": point.score.high,
    }
