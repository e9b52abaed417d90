"""The figures of a study: its course, its Pareto front, and what mattered.

Each as PNG and SVG with its data in a CSV.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dspy_fusion.optimizers import TrialReport, TuningReport

from ..presentation.figure import Plot, new_figure, save_figure
from ..presentation.figure_style import COLORS, STYLE

_MARKS = {"whole": ("o", COLORS["fusion"]), "dropped": ("x", "#999999")}
_WIDE = 5  # from this ratio of the dearest trial to the cheapest, costs are drawn on a logarithmic axis
_BASELINE = "#444444"
_KINDS = [
    Line2D([], [], marker=mark, color=color, linestyle="", markersize=5, label=label)
    for (mark, color), label in zip(_MARKS.values(), ("whole trial", "raced out"), strict=True)
]


def draw_tuning_plots(
    report: TuningReport, importance: Mapping[str, float], folder: Path, *, unit: str = "tokens"
) -> tuple[Plot, ...]:
    """Draws every figure for which there is data into ``folder``.

    Args:
        report: of a study.
        importance: how much each tuned thing mattered.
        folder: where the figures go.
        unit: what an answer's cost is counted in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scored = [trial for trial in report.trials if trial.quality is not None]
    if not scored:
        return ()
    with mpl.rc_context(STYLE):
        plots = [_course(report, scored, folder), _front(report, scored, folder, unit)]
        if importance:
            plots.append(_importance(importance, folder))
    return tuple(plots)


def _course(report: TuningReport, scored: list[TrialReport], folder: Path) -> Plot:
    figure, axes = new_figure(8.4, 4.8)
    _points(axes, scored, [trial.number for trial in scored])
    best, xs, ys = 100 * report.baseline.mean, [], []
    for trial in scored:
        if trial.state == "whole" and trial.quality:
            best = max(best, 100 * trial.quality.mean)
        xs.append(trial.number)
        ys.append(best)
    axes.step(xs, ys, where="post", color=COLORS["fusion"], linewidth=1.4, label="best so far")
    axes.axhline(100 * report.baseline.mean, color=_BASELINE, linewidth=1, linestyle=":", label="program as it was")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel("score (%)")
    axes.legend(frameon=False, loc="lower right")
    caption = (
        f"Mean score of each trial on {report.baseline.n} examples. Crosses were raced out: they stand at the score of"
        " the examples they had, and are not comparable with whole trials."
    )
    return save_figure(
        figure, folder / "course", "The course of the study", caption, [_row(report, trial) for trial in scored]
    )


def _front(report: TuningReport, scored: list[TrialReport], folder: Path, unit: str) -> Plot:
    figure, axes = new_figure(8.4, 4.8)
    whole = [trial for trial in scored if trial.state == "whole"]
    _points(axes, scored, [trial.cost for trial in scored])
    axes.plot([report.cost_before], [100 * report.baseline.mean], "s", color=_BASELINE, markersize=6, label="as it was")
    front = sorted(
        (trial.cost, 100 * trial.quality.mean) for trial in whole if trial.quality and trial.number in report.pareto
    )
    axes.step(
        [cost for cost, _ in front], [score for _, score in front], where="post", color=COLORS["fusion"], linewidth=1.2
    )
    for trial in whole:
        if trial.number == report.chosen and trial.quality:
            axes.plot(
                [trial.cost],
                [100 * trial.quality.mean],
                marker="o",
                markersize=13,
                mfc="none",
                mec=_BASELINE,
                ls="",
                label="chosen",
            )
    _numbered(axes, report, whole)
    axes.legend(handles=[*axes.get_legend_handles_labels()[0], *_KINDS], frameon=False, loc="best")
    costs = [trial.cost for trial in scored]
    if costs and 0 < _WIDE * min(costs) < max(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_xlabel(f"cost per answer ({unit})")
    axes.set_ylabel("score (%)")
    caption = (
        f"Trials by score and cost in {unit}, replayed calls at what they cost when they were made. The line joins"
        " those that no whole trial beats, with their numbers; crosses were raced out and stand at what they had, on"
        " fewer examples."
    )
    data = [_row(report, trial) for trial in scored]
    return save_figure(figure, folder / "pareto", "Quality against cost", caption, data)


def _numbered(axes: Axes, report: TuningReport, whole: list[TrialReport]) -> None:
    """The numbers of the trials on the front, and of the one that was taken; those at one place share a label."""
    places: dict[tuple[float, float], list[str]] = {}
    for trial in whole:
        if trial.quality and (trial.number in report.pareto or trial.number == report.chosen):
            places.setdefault((trial.cost, 100 * trial.quality.mean), []).append(str(trial.number))
    for place, numbers in places.items():
        text = f"trial {', '.join(numbers[:3])}{', ...' if numbers[3:] else ''}"
        apart = {"xytext": (-6, 7), "textcoords": "offset points", "ha": "right"}
        axes.annotate(text, place, **apart, fontsize=8, color=_BASELINE)


def _importance(importance: Mapping[str, float], folder: Path) -> Plot:
    figure, axes = new_figure(8.4, 0.9 + 0.42 * len(importance))
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color=COLORS["best_of_n"], height=0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of the differences among the better trials (PED-ANOVA)")
    caption = "How much each tuned thing mattered for the score, over the whole trials. With few trials this is rough."
    data = [{"name": name, "importance": value} for name, value in importance.items()]
    return save_figure(figure, folder / "importance", "What mattered", caption, data)


def _points(axes: Axes, trials: list[TrialReport], xs: list[float] | list[int]) -> None:
    for x, trial in zip(xs, trials, strict=True):
        if trial.quality is None:
            continue
        mark, color = _MARKS[trial.state]
        mean, low, high = (100 * value for value in (trial.quality.mean, trial.quality.low, trial.quality.high))
        axes.errorbar(
            [x],
            [mean],
            yerr=[[mean - low], [high - mean]],
            fmt=mark,
            color=color,
            markersize=5,
            elinewidth=0.7,
            alpha=0.75,
        )


def _row(report: TuningReport, trial: TrialReport) -> dict[str, object]:
    quality = trial.quality
    scores = {"score": quality.mean, "low": quality.low, "high": quality.high} if quality else {}
    return {
        "trial": trial.number,
        "state": trial.state,
        **scores,
        "cost": trial.cost,
        "scored": trial.scored,
        "fallbacks": trial.fallbacks,
        "front": trial.number in report.pareto,
    }
