"""The figures of evidence: where the fused answers come from, and what fusion gains group by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ..evidence import Evidence
from ..evidence.origins import OriginShares, few_models, origin_shares
from ..evidence.per_group import Group, PerGroup
from ..evidence.summary import Summary
from ..presentation.figure import Plot, new_figure, new_panels, save_figure
from ..presentation.figure_style import ALL_AGREE, DARK, MODEL_COLORS, ORIGIN_COLORS, STYLE, color_of
from ..records.record import Record

_LEAST_LABELLED = 7  # per cent of a bar below which its number would not fit
_LEGEND_WIDTH = 150  # characters that fit side by side
_CAPTIONS = {
    "parts": (
        "Share of the answer's parts by the model whose candidates give the same result; a part that several but not"
        " all candidates share counts in fractions. 'New' parts are in no candidate. The number at the right is the"
        " share of parts that is right."
    ),
    "words": (
        "Share of the answer's words by the model whose candidates have them in a run of at least three words; what"
        " several but not all candidates share counts in fractions. 'New' words are in no candidate. The number at the"
        " right is the mean score."
    ),
}


def draw_evidence(summary: Summary, records: Sequence[Record], evidence: Evidence, folder: Path) -> tuple[Plot, ...]:
    """Draws the figures for which there is data into ``folder``, which exists."""
    plots = []
    with mpl.rc_context(STYLE):
        if evidence.groups and evidence.groups.duel:
            plots.append(_gain_by_group(evidence.groups, folder))
        parts, words = _part_origins(summary, records), _word_origins(summary, evidence)
        if parts:
            plots.append(_origins(summary, parts, "parts", folder))
        if words:
            plots.append(_origins(summary, words, "words", folder))
    return tuple(plots)


def _gain_by_group(found: PerGroup, folder: Path) -> Plot:
    lines = [line for line in (*found.groups, found.average) if line.difference is not None]
    figure, axes = new_figure(8.2, 1.5 + 0.32 * len(lines))
    for y, line in enumerate(lines):
        _bar(axes, y, line, "#222222" if line is found.average else color_of("fusion"))
    axes.axvline(0, color="#888888", linewidth=1)
    axes.set_yticks(range(len(lines)), [f"{line.name} (n={line.examples})" for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    duel = found.duel
    names = f"{duel.fused.strategy.name} minus {duel.chooser.strategy.name}" if duel else ""
    axes.set_xlabel(f"{names}, points")
    caption = f"{names}: paired differences with 95 % intervals over examples. The average counts every group the same."
    data = [_gain(line) for line in lines]
    return save_figure(figure, folder / "gain_by_group", "What fusion gains on choosing, group by group", caption, data)


def _bar(axes: Axes, y: int, line: Group, color: str) -> None:
    if line.difference is None:
        return
    mean, low, high = (100 * value for value in (line.difference.mean, line.difference.low, line.difference.high))
    if not math.isnan(low):
        axes.plot([low, high], [y, y], color=color, linewidth=2, solid_capstyle="round", zorder=2)
    axes.plot([mean], [y], "o", color=color, markersize=6.5, zorder=3)


def _gain(line: Group) -> dict[str, Any]:
    ends = {end: getattr(line.difference, end) for end in ("mean", "low", "high")}
    return {"group": line.name, "examples": line.examples, **ends, "p_holm": "" if line.p_holm is None else line.p_holm}


def _part_origins(summary: Summary, records: Sequence[Record]) -> dict[str, tuple[OriginShares, ...]]:
    names = [row.strategy.name for row in summary.rows if row.strategy.role in ("fuse", "parts")]
    by_strategy = {name: origin_shares(record for record in records if record.strategy == name) for name in names}
    return {name: shares for name, shares in by_strategy.items() if shares}


def _word_origins(summary: Summary, evidence: Evidence) -> dict[str, tuple[OriginShares, ...]]:
    means = {row.strategy.name: row.score.mean for row in summary.rows}
    words = [item for item in evidence.attributions if item.unit == "words"]
    shares = few_models([item.shares for item in words])
    pairs = zip(words, shares, strict=True)
    return {item.strategy: (OriginShares("words", item.answers, means[item.strategy], share),) for item, share in pairs}


def _origins(summary: Summary, shares: Mapping[str, Sequence[OriginShares]], unit: str, folder: Path) -> Plot:
    kinds = sorted({item.kind for each in shares.values() for item in each})
    colors = _colors(summary, [item for each in shares.values() for item in each])
    figure, panels = new_panels(11.0, 1.9 + 0.42 * len(shares), len(kinds))
    counted = "answers" if unit == "words" else unit
    for axes, kind in zip(panels, kinds, strict=True):
        items = {name: item for name, each in shares.items() for item in each if item.kind == kind}
        _stack(axes, items, colors)
        axes.set_title(f"{kind}   (n={next(iter(items.values())).n} {counted})", fontsize=10)
        axes.set_xlabel(f"% of the {unit}")
    used = [key for key in colors if any(item.shares.get(key) for each in shares.values() for item in each)]
    handles = [Patch(facecolor=colors[key], edgecolor="#666666", linewidth=0.4, label=key) for key in used]
    columns = max(1, min(7, len(handles), _LEGEND_WIDTH // (6 + max(map(len, used)))))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    data = [_share(name, item, key) for name, each in shares.items() for item in each for key in item.shares]
    return save_figure(
        figure, folder / f"origin_of_{unit}", f"Where the {unit} of the answers come from", _CAPTIONS[unit], data
    )


def _colors(summary: Summary, items: Sequence[OriginShares]) -> dict[str, str]:
    """A colour for each origin, in the order in which they are stacked.

    Common ground, the models as the configuration has them, new.
    """
    present = {origin for item in items for origin in item.shares}
    named = [model for row in summary.rows for model in row.strategy.models]
    models = [
        origin
        for origin in dict.fromkeys([*named, *sorted(present)])
        if origin in present and origin not in ORIGIN_COLORS
    ]
    return {
        ALL_AGREE: ORIGIN_COLORS[ALL_AGREE],
        **dict(zip(models, MODEL_COLORS * len(models), strict=False)),
        **ORIGIN_COLORS,
    }


def _stack(axes: Axes, items: Mapping[str, OriginShares], colors: Mapping[str, str]) -> None:
    axes.grid(visible=False)
    for y, item in enumerate(items.values()):
        left = 0.0
        for key, color in colors.items():
            share = 100 * item.shares.get(key, 0.0)
            axes.barh(y, share, left=left, color=color, edgecolor="#666666", linewidth=0.4, height=0.72)
            if share >= _LEAST_LABELLED:
                ink = "white" if color in DARK else "#222222"
                axes.text(left + share / 2, y, f"{share:.0f}", ha="center", va="center", fontsize=8, color=ink)
            left += share
        axes.text(101.5, y, f"{100 * item.right:.0f}", va="center", fontsize=9, fontweight="bold", color="#222222")
    axes.set_xlim(0, 110)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.set_yticks(range(len(items)), list(items))
    axes.set_ylim(len(items) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _share(name: str, item: OriginShares, key: str) -> dict[str, Any]:
    return {
        "strategy": name,
        "kind": item.kind,
        "origin": key,
        "share": item.shares[key],
        "parts": item.n,
        "right": item.right,
    }
