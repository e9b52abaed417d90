"""The N-curves of a recorded set as a figure: what each way reaches with N of its candidates."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.ticker import MaxNLocator

from ..presentation.figure import Plot, new_figure, save_figure
from ..presentation.figure_style import MODEL_COLORS, STYLE
from ..presentation.point_labels import Label, label_ends
from .overview import Measured

_COLORS = {"single": "#7f7f7f", "oracle": "#222222"}


def draw_curves(measured: Measured, folder: Path) -> Plot:
    """Draws the curves into a folder, as PNG and SVG with their data as CSV."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(9.0, 5.6)
        rest = iter(MODEL_COLORS * len(measured.ways))
        ends = []
        for way in measured.ways:
            estimates = measured.curves[way.name]
            color = _COLORS.get(way.name) or next(rest)
            xs, ys = range(1, len(estimates) + 1), [100 * estimate.mean for estimate in estimates]
            style = {"oracle": "--", "single": ":"}.get(way.kind, "-")
            axes.plot(xs, ys, style, color=color, marker="o", markersize=3, linewidth=1.6, zorder=3)
            axes.fill_between(
                xs,
                [100 * e.low for e in estimates],
                [100 * e.high for e in estimates],
                color=color,
                alpha=0.10,
                linewidth=0,
            )
            ends.append(Label(way.name, measured.pool.shape[1], ys[-1], color))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("candidates N, averaged over the subsets of the recorded pool")
        axes.set_ylabel("score (%)")
        label_ends(figure, axes, ends)
        data = [
            {"way": way.name, "n": n, "score": e.mean, "low": e.low, "high": e.high, "questions": e.n}
            for way in measured.ways
            for n, e in enumerate(measured.curves[way.name], 1)
        ]
        caption = (
            f"Mean score with N of {measured.pool.shape[1]} recorded candidates, averaged over subsets."
            f" {measured.pool.shape[0]} questions; bands are 95 % intervals over questions. The oracle uses the right"
            " answers."
        )
        return save_figure(
            figure,
            folder / "quality_against_n",
            f"Choosing among recorded answers: {measured.pool.name}",
            caption,
            data,
        )
