"""A figure on disk: a PNG and an SVG with the data in a CSV beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .page_text import spreadsheet_cell


@dataclass(frozen=True)
class Plot:
    """A figure on disk and what it shows, in a sentence."""

    title: str
    caption: str
    png: Path
    svg: Path
    data: Path


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, which no window will ever show."""
    figure, (axes,) = new_panels(width, height, 1)
    return figure, axes


def new_panels(width: float, height: float, count: int) -> tuple[Figure, Sequence[Axes]]:
    """Such a figure with several panels side by side, which share their vertical axis."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, sharey=True, squeeze=False)[0]


def save_figure(figure: Figure, stem: Path, title: str, caption: str, data: Sequence[Mapping[str, Any]]) -> Plot:
    """Writes a figure as PNG and SVG and its data as CSV, under one name."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    plot = Plot(title, caption, *(stem.with_suffix(suffix) for suffix in (".png", ".svg", ".csv")))
    figure.savefig(plot.png, dpi=180)
    figure.set_layout_engine("none")  # the other file is laid out as this one was: finding a layout takes long
    figure.savefig(plot.svg, metadata={"Date": None})
    with plot.data.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(data[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: spreadsheet_cell(value) for name, value in row.items()} for row in data)
    return plot
