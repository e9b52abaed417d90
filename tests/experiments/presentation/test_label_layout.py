from __future__ import annotations

import itertools

import pytest

from dspy_fusion.experiments.presentation.label_layout import Box, place_labels, spread

FRAME = Box(0, 0, 600, 400)


def test_crowded_labels_do_not_cover_each_other() -> None:
    anchors = [(300.0 + 6 * i, 200.0 + 5 * (i % 3)) for i in range(9)]
    boxes = place_labels(anchors, [(90, 12)] * 9, [], FRAME)
    assert all(a.overlap(b) == 0 for a, b in itertools.combinations(boxes, 2))


def test_labels_keep_off_points_and_inside_the_frame() -> None:
    points = [Box(590, 195, 600, 205), Box(580, 100, 586, 300)]
    (box,) = place_labels([(595, 200)], [(80, 12)], points, FRAME)
    assert all(box.overlap(point) == 0 for point in points)
    assert box.overlap(FRAME) == pytest.approx(box.area)


def test_lone_label_stands_to_the_right() -> None:
    (box,) = place_labels([(100, 100)], [(40, 10)], [], FRAME)
    assert box.left > 100
    assert (box.bottom + box.top) / 2 == 100


def test_spread_keeps_order_and_gap() -> None:
    found = spread([1.0, 1.1, 5.0, 1.05], 1.0)
    ordered = [found[i] for i in (0, 3, 1, 2)]
    assert all(b - a >= 1.0 - 1e-9 for a, b in itertools.pairwise(ordered))
    assert found[2] == 5.0
