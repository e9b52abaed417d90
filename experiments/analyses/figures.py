"""The figures of the analyses; each is a PNG and an SVG with its data in a CSV beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..evidence.summary import Summary
from ..presentation.figure import Plot, new_figure, save_figure
from ..presentation.figure_style import COLORS, MARKERS, MODEL_COLORS, STYLE, color_of
from ..presentation.label_layout import Box
from ..presentation.point_labels import Label, label_ends, label_points
from ..statistics.intervals import Interval
from .curves import Curve, grouped
from .flops import Compute
from .grid import SINGLE, grid_cells

_WIDE = 10  # from which ratio on an axis is logarithmic
_APART = 0.06  # of a width, so that the depths' intervals do not hide each other
_SHADES = ("#c9b3d6", "#8e5aa8", "#57306b", "#2d1738")  # of propose-and-aggregate's colour, deeper for deeper


def grid_figure(summary: Summary, folder: Path) -> Plot:
    """Score against width, a line for each depth."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.2, 5.0)
        cells, single = grid_cells(summary), next(row for row in summary.rows if row.strategy.name == SINGLE)
        ends, depths = [], sorted({cell.depth for cell in cells})
        last = max(cell.width for cell in cells) + _APART * len(depths)
        for place, depth in enumerate(depths):
            own, color = [cell for cell in cells if cell.depth == depth], _SHADES[min(place, len(_SHADES) - 1)]
            estimates = [cell.row.score for cell in own]
            _bars(axes, [cell.width + _APART * place for cell in own], estimates, color)
            ends.append(Label(f"depth {depth}", last, 100 * estimates[-1].mean, color))
        axes.set_xlim(right=last)
        axes.axhline(100 * single.score.mean, color=COLORS["single"], linestyle=":", linewidth=1.2)
        ends.append(Label(SINGLE, last, 100 * single.score.mean, COLORS["single"]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("width: answers a layer")
        axes.set_ylabel("score (%)")
        label_ends(figure, axes, ends)
        data = [{"width": c.width, "depth": c.depth, **_row(c.row.score)} for c in cells]
        caption = f"Score by width and depth, {single.score.n} examples; bars are 95 % intervals over examples."
        return save_figure(figure, folder / "grid", "Width and depth of propose-and-aggregate", caption, data)


def subsets_figure(cells: np.ndarray, folder: Path) -> Plot:
    """The fused answer's rank by the ranks of its proposals' quality and diversity."""
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = new_figure(6.6, 5.4)
        bins = len(cells)
        image = axes.imshow(
            np.ma.masked_invalid(cells), origin="lower", cmap="viridis", extent=(0.5, bins + 0.5, 0.5, bins + 0.5)
        )
        axes.set_facecolor("#f2f2f2")
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks(range(1, bins + 1))
        axes.set_xlabel("mean quality of the proposals (rank within the question)")
        axes.set_ylabel("diversity of the proposals (rank)")
        figure.colorbar(image, ax=axes, label="mean rank of the fused answer", shrink=0.85)
        places = [(y, x) for y in range(bins) for x in range(bins)]
        data = [
            {"diversity": y + 1, "quality": x + 1, "fused": float(cells[y, x])}
            for y, x in places
            if not np.isnan(cells[y, x])
        ]
        caption = "Mean rank of the fused answer among those of its question; grey cells have no subset."
        return save_figure(figure, folder / "subsets", "Quality and diversity of proposals", caption, data)


def perplexity_figure(found: Mapping[str, Interval], folder: Path) -> Plot:
    """Perplexity of each training set."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.2, 1.3 + 0.45 * len(found))
        names = list(found)[::-1]
        values = [found[name].mean for name in names]
        reach = [[found[n].mean - found[n].low for n in names], [found[n].high - found[n].mean for n in names]]
        colors = [COLORS["single"] if name.startswith("SFT") else COLORS["propose_aggregate"] for name in names]
        axes.errorbar(
            values, range(len(names)), xerr=np.nan_to_num(np.array(reach)), fmt="none", ecolor="#888888", capsize=3
        )
        axes.scatter(values, range(len(names)), color=colors, zorder=3)
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.12)
        is_wide = max(values) > _WIDE * min(values)
        axes.set_xscale("log" if is_wide else "linear")
        if is_wide:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(f"perplexity of the targets under the model before training{' (log scale)' if is_wide else ''}")
        data = [{"training_set": name, **_row(estimate)} for name, estimate in found.items()]
        return save_figure(
            figure,
            folder / "perplexity",
            "How surprising the training targets are",
            "95 % intervals over examples.",
            data,
        )


def flops_figure(computes: Sequence[Compute], folder: Path) -> Plot:
    """Score against FLOPs by the formula with a prefix cache; points of one N curve are joined."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9.4, 6.4)
        ends = []
        for one in computes:
            strategy = one.row.strategy
            if strategy.curve_of:
                continue
            own = [c for c in computes if strategy.name in (c.row.strategy.name, c.row.strategy.curve_of)]
            points = sorted(own, key=lambda c: c.cached)
            color, xs = color_of(strategy.program), [c.cached for c in points]
            axes.plot(
                xs,
                [100 * c.row.score.mean for c in points],
                "--" if strategy.role == "oracle" else "-",
                color=color,
                linewidth=1.2,
                marker=MARKERS[strategy.role],
                markersize=5,
                zorder=3,
            )
            ends.append(Label(strategy.name, xs[-1], 100 * one.row.score.mean, color))
        axes.set_xscale("log")
        axes.margins(x=0.16, y=0.1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "25" else ""))
        axes.set_xlabel("FLOPs in plain answers (AFT, appendix C, with a prefix cache; log scale)")
        axes.set_ylabel("score (%)")
        label_points(figure, axes, ends, lambda _: _along_lines(axes))
        data = [
            {
                "strategy": c.row.strategy.name,
                "n": c.row.strategy.n,
                "generations_cached": c.cached,
                "generations": c.uncached,
                "flops_cached": c.flops_cached,
                "flops": c.flops,
                **_row(c.row.score),
            }
            for c in computes
        ]
        return save_figure(
            figure, folder / "flops", "Quality against compute", f"{computes[0].row.score.n} examples.", data
        )


def curves_figure(curves: Sequence[Curve], folder: Path) -> Plot:
    """Loss against step; of repetitions the mean, and the range as a band."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(8.4, 5.0)
        for place, (name, group) in enumerate(grouped(curves).items()):
            color = MODEL_COLORS[place % len(MODEL_COLORS)]
            steps = np.array(sorted(set.intersection(*(set(curve.steps.tolist()) for curve in group))))
            losses = np.array([np.interp(steps, curve.steps, curve.losses) for curve in group])  # (repetitions, steps)
            axes.plot(steps, losses.mean(axis=0), color=color, linewidth=1.6, label=name)
            if len(group) > 1:
                axes.fill_between(steps, losses.min(axis=0), losses.max(axis=0), color=color, alpha=0.15, linewidth=0)
        axes.set_xlabel("step")
        axes.set_ylabel("loss per answer token (nats)")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        data = [
            {"training": c.name, "file": str(c.path), "step": int(s), "loss": float(v)}
            for c in curves
            for s, v in zip(c.steps, c.losses, strict=True)
        ]
        return save_figure(figure, folder / "curves", "Training curves", "Bands are the range over repetitions.", data)


def _bars(axes: Axes, xs: Sequence[float], estimates: Sequence[Interval], color: str) -> None:
    reach = np.nan_to_num([[100 * (e.mean - e.low) for e in estimates], [100 * (e.high - e.mean) for e in estimates]])
    axes.errorbar(
        xs,
        [100 * e.mean for e in estimates],
        yerr=np.maximum(reach, 0),
        color=color,
        marker="o",
        markersize=5,
        linewidth=1.8,
        elinewidth=1.1,
        capsize=2.5,
        zorder=3,
    )


def _along_lines(axes: Axes) -> list[Box]:
    """Boxes around the points of all lines, and around three places between each two of them."""
    lines = [
        axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()])) for line in axes.get_lines()
    ]
    between = [(1 - t) * line[:-1] + t * line[1:] for line in lines for t in (0.25, 0.5, 0.75)]
    return [Box(x - 6, y - 6, x + 6, y + 6) for x, y in np.concatenate([*lines, *between])]


def _row(estimate: Interval) -> dict[str, float]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "examples": estimate.n}
