"""The figures of confidence: score against coverage, and what was said against what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from ..evidence.sureness import Sureness
from ..presentation.figure import Plot, new_figure, save_figure
from ..presentation.figure_style import STYLE

_DASHES = ("-", "--", "-.", ":")
_LEAST_COVERAGE = 0.3  # below it a handful of answers makes the curve jump


def draw_sureness(items: Sequence[Sureness], colors: Mapping[str, str], folder: Path) -> tuple[Plot, ...]:
    """Draws the figures for which there is data into ``folder``, which exists; ``colors`` are the strategies'."""
    uneven = [item for item in items if len({sure for sure, _ in item.pairs}) > 1]
    if not uneven:
        return ()
    with mpl.rc_context(STYLE):
        looks = _looks([item.strategy for item in uneven], colors)
        return _coverage(uneven, looks, folder), _reliability(uneven, looks, folder)


def _coverage(items: Sequence[Sureness], looks: Mapping[str, tuple[str, str]], folder: Path) -> Plot:
    figure, axes = new_figure(8.2, 4.6)
    for item in items:
        color, dash = looks[item.strategy]
        steady = [point for point in item.curve if point[0] >= _LEAST_COVERAGE]
        points = steady if len(steady) > 1 else item.curve
        xs, ys = [100 * share for share, _ in points], [100 * score for _, score in points]
        axes.plot(xs, ys, dash, color=color, marker="o", markersize=3.5, linewidth=1.6, label=item.strategy)
    axes.set_xlabel("coverage: % of the answers that are given, the surest first")
    axes.set_ylabel("mean score of those (%)")
    _legend(axes)
    caption = (
        "Mean score of the surest answers against their share. A line that rises to the left is a confidence that tells"
        " right answers from wrong ones; a flat one tells nothing."
    )
    data = [
        {"strategy": item.strategy, "coverage": share, "score": score} for item in items for share, score in item.curve
    ]
    return save_figure(figure, folder / "coverage", "What answering only when sure gains", caption, data)


def _reliability(items: Sequence[Sureness], looks: Mapping[str, tuple[str, str]], folder: Path) -> Plot:
    figure, axes = new_figure(8.2, 5.4)
    axes.plot([0, 100], [0, 100], color="#888888", linewidth=1, zorder=1)
    most = max(part.answers for item in items for part in item.bins)
    for item in items:
        color, dash = looks[item.strategy]
        xs, ys = [100 * part.said for part in item.bins], [100 * part.score for part in item.bins]
        axes.plot(xs, ys, dash, color=color, linewidth=1.2, alpha=0.7, zorder=2)
        sizes = [16 + 140 * part.answers / most for part in item.bins]
        label = f"{item.strategy} (error {item.error:.3f})"
        axes.scatter(xs, ys, s=sizes, color=color, alpha=0.85, zorder=3, label=label)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 104)
    axes.set_xlabel("confidence said (%)")
    axes.set_ylabel("mean score that came of it (%)")
    _legend(axes)
    caption = (
        "Answers by tenths of their confidence: what was said against what came true; larger points hold more answers."
        " On the line a confidence of 80 % is right in 80 % of the cases; above it answers are surer than they say."
    )
    data = [
        {"strategy": item.strategy, "said": part.said, "score": part.score, "answers": part.answers}
        for item in items
        for part in item.bins
    ]
    return save_figure(figure, folder / "reliability", "Confidence against what came true", caption, data)


def _looks(names: Sequence[str], colors: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each line's colour, its strategy's in all figures, and a dash that tells it from others of that colour."""
    looks: dict[str, tuple[str, str]] = {}
    for name in names:
        before = sum(color == colors[name] for color, _ in looks.values())
        looks[name] = colors[name], _DASHES[before % len(_DASHES)]
    return looks


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure = axes.figure
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
