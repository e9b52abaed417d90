from __future__ import annotations

import math

import numpy as np
import pytest

from dspy_fusion.experiments.statistics.column_intervals import column_intervals
from dspy_fusion.experiments.statistics.intervals import mean_interval


def test_many_columns_at_once_are_the_intervals_of_each() -> None:
    values = np.random.default_rng(0).random((60, 3))
    found = column_intervals(values, [""] * 60, resamples=4000)
    for column, estimate in zip(values.T, found, strict=True):
        alone = mean_interval({(f"q{i}", 0): float(value) for i, value in enumerate(column)}, resamples=4000)
        assert (estimate.mean, estimate.n) == (pytest.approx(alone.mean), alone.n)
        assert (estimate.low, estimate.high) == (
            pytest.approx(alone.low, abs=0.01),
            pytest.approx(alone.high, abs=0.01),
        )


def test_groups_keep_their_sizes() -> None:
    values = np.repeat([[0.0], [1.0]], 20, axis=0)
    (within,) = column_intervals(values, ["easy"] * 20 + ["hard"] * 20, resamples=200)
    (over,) = column_intervals(values, [""] * 40, resamples=200)
    assert (within.low, within.high) == (0.5, 0.5)
    assert over.low < 0.5 < over.high


def test_a_group_of_one_does_not_hold_the_others_still() -> None:
    values = np.array([[0.0], [1.0], [0.0], [1.0], [1.0]])
    (found,) = column_intervals(values, ["a", "a", "a", "a", "b"], resamples=200)
    assert found.low < found.high


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, 0.0, 0.168), (1.0, 0.832, 1.0)])
def test_scores_that_never_vary_still_leave_doubt(value: float, low: float, high: float) -> None:
    (found,) = column_intervals(np.full((20, 1), value), [""] * 20)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_a_difference_of_nothing_has_no_width() -> None:
    (found,) = column_intervals(np.zeros((20, 1)), [""] * 20, scores=False)
    assert (found.low, found.high) == (0, 0)


def test_one_question_gives_no_interval() -> None:
    (found,) = column_intervals(np.array([[0.5]]), [""])
    assert math.isnan(found.low)
    assert found.mean == 0.5
