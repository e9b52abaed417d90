"""Where to put the labels of points so that they cover neither each other nor the points. Pure geometry, in pixels.

adjustText 1.4 was tried on the demo's figure, with two settings of its forces: labels came to lie over markers and
over the bars of intervals, which its iterations only push apart while this chooses among free places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ANGLES = tuple(math.radians(degrees) for degrees in (0, 180, 35, -35, 145, -145, 90, -90, 65, -65, 115, -115))
_DISTANCES = (10.0, 20.0, 34.0, 52.0, 74.0, 100.0)
_SWEEPS = 4
_COVERING = 60  # what it costs that a label lies under another, beside the costs of its place
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle with its sides parallel to the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    def distance(self, point: Point) -> float:
        """How far a point is from the nearest side; 0 inside."""
        return math.hypot(
            max(self.left - point[0], 0.0, point[0] - self.right), max(self.bottom - point[1], 0.0, point[1] - self.top)
        )

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)


def place_labels(
    anchors: Sequence[Point], sizes: Sequence[tuple[float, float]], obstacles: Sequence[Box], frame: Box
) -> list[Box]:
    """A box for each label, near its anchor, within the frame,
    clear of the other labels and of the obstacles where that can be had.

    Args:
        anchors: the point that each label belongs to.
        sizes: width and height of each label.
        obstacles: what should stay visible: markers, interval bars.
        frame: what no label should leave.
    """
    choices = []
    for i, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        rivals = [other for j, other in enumerate(anchors) if j != i]
        positions = _positions(anchor, size)
        choices.append([(base + _cost(box, anchor, rivals, obstacles, frame), box) for base, box in positions])
    placed: list[Box | None] = [None] * len(anchors)
    for _ in range(_SWEEPS):
        before = list(placed)
        for i, options in enumerate(choices):
            others = [box for j, box in enumerate(placed) if j != i and box is not None]
            placed[i] = min(options, key=lambda option: option[0] + _COVERING * _covered(option[1], others))[1]
        if placed == before:
            break
    return [box for box in placed if box is not None]


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions on a line close to the wanted ones, in the same order, no two nearer than ``gap``."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []
    for i in order:
        groups.append([i])
        while (
            len(groups) > 1
            and _center(groups[-1], wanted) - _center(groups[-2], wanted)
            < gap * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    places = [0.0] * len(wanted)
    for group in groups:
        first = _center(group, wanted) - gap * (len(group) - 1) / 2
        for place, i in enumerate(group):
            places[i] = first + gap * place
    return places


def _center(group: Sequence[int], wanted: Sequence[float]) -> float:
    return sum(wanted[i] for i in group) / len(group)


def _positions(anchor: Point, size: tuple[float, float]) -> list[tuple[float, Box]]:
    """Boxes around the anchor, each with its cost before anything is covered: near and to the right is cheap."""
    (x, y), (width, height) = anchor, size
    positions = []
    for distance in _DISTANCES:
        for preference, angle in enumerate(_ANGLES):
            along, up = math.cos(angle), math.sin(angle)
            cx = x + distance * along + width / 2 * (0 if abs(along) < 0.2 else math.copysign(1, along))
            cy = y + distance * up + height / 2 * (0 if abs(up) < 0.2 else math.copysign(1, up))
            box = Box(cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
            positions.append((distance / 20 + preference / 10, box))
    return positions


def _cost(box: Box, anchor: Point, rivals: Sequence[Point], obstacles: Sequence[Box], frame: Box) -> float:
    """How bad a place is, wherever the other labels lie.

    Leaving the frame is worst, then crossing a bar, and lying nearer to another point.
    """
    outside = 1 - box.overlap(frame) / box.area
    crossed = sum(box.overlap(obstacle) > 0 for obstacle in obstacles)
    own = box.distance(anchor) + 4
    nearer = sum(box.distance(rival) < own for rival in rivals)
    return 100 * outside + 6 * crossed + 5 * nearer


def _covered(box: Box, others: Sequence[Box]) -> float:
    """How much of a label others would cover."""
    return sum(box.overlap(other) for other in others) / box.area
