"""Names beside what they name: near points, and at the right ends of lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .label_layout import Box, place_labels, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAR = 16  # pixels between a label and its point, from which on a line joins them
_ENDS_APART = 15  # pixels at 100 dots an inch


class Label(NamedTuple):
    """A name, where in the data it belongs, and its color."""

    text: str
    x: float
    y: float
    color: str


def label_points(
    figure: Figure, axes: Axes, labels: Sequence[Label], obstacles: Callable[[Sequence[tuple[float, float]]], list[Box]]
) -> None:
    """Writes each name next to its point, with a thin line where it had to go further away.

    Args:
        figure: that the axes are in.
        axes: whose points are drawn already.
        labels: one a point.
        obstacles: what should stay visible, in pixels, by the points' places in pixels.
    """
    style: dict[str, Any] = {"fontsize": 8.5, "va": "center", "ha": "center", "zorder": 4}
    style |= {"xytext": (0, 0), "textcoords": "offset points"}
    texts = [axes.annotate(label.text, (label.x, label.y), color=label.color, **style) for label in labels]
    figure.canvas.draw()
    anchors = [(float(x), float(y)) for x, y in axes.transData.transform([(label.x, label.y) for label in labels])]
    extents, frame = [text.get_window_extent() for text in texts], axes.get_window_extent()
    sizes = [(extent.width + 4, extent.height + 2) for extent in extents]
    boxes = place_labels(anchors, sizes, obstacles(anchors), Box(frame.x0, frame.y0, frame.x1, frame.y1))
    for text, (x, y), box in zip(texts, anchors, boxes, strict=True):
        dx, dy = (box.left + box.right) / 2 - x, (box.bottom + box.top) / 2 - y
        text.set_position((dx * 72 / figure.dpi, dy * 72 / figure.dpi))  # points: files have another resolution
        if box.distance((x, y)) > _FAR:
            nearest = (min(max(x, box.left), box.right), min(max(y, box.bottom), box.top))
            line = axes.transData.inverted().transform([(x, y), nearest])
            axes.plot(line[:, 0], line[:, 1], color=text.get_color(), linewidth=0.6, alpha=0.6, zorder=2)


def label_ends(figure: Figure, axes: Axes, ends: Sequence[Label]) -> None:
    """Writes each line's name at its right end, spread so that none covers another."""
    figure.canvas.draw()
    low, high = axes.get_ylim()
    gap = _ENDS_APART * (high - low) / axes.get_window_extent().height * figure.dpi / 100
    for end, y in zip(ends, spread([end.y for end in ends], gap), strict=True):
        style: dict[str, Any] = {"xytext": (8, 0), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(end.text, (end.x, y), color=end.color, fontsize=9, va="center", **style)
