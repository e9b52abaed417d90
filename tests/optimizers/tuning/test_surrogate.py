from __future__ import annotations

import numpy as np

from dspy_fusion.optimizers.tuning.search.estimates import estimates
from dspy_fusion.optimizers.tuning.search.surrogate import Surrogate, improvement

GRIDS = [np.linspace(0, 1, 5), np.linspace(0, 1, 3)]
UNORDERED = np.array([False, True])


def model(points: list[tuple[int, int]], values: list[float], error: float | None = 0.02) -> Surrogate:
    errors = None if error is None else np.full(len(values), error)
    return Surrogate(np.array(points), np.array(values), errors, GRIDS, UNORDERED, seed=0)


def test_it_knows_little_away_from_what_it_saw() -> None:
    fitted = model([(0, 0), (1, 0), (0, 1), (1, 1)], [0.5, 0.52, 0.8, 0.78])
    means, spreads = fitted.predict(np.array([[0, 0], [0, 1], [4, 2]]))
    assert means.mean(axis=0)[1] > means.mean(axis=0)[0]
    assert spreads.mean(axis=0)[2] > spreads.mean(axis=0)[:2].max()


def test_a_lucky_trial_is_drawn_towards_its_neighbours() -> None:
    points = [(i, k) for i in range(5) for k in range(2)]
    values = [0.5] * 10
    values[4] = 0.62
    assert 0.5 <= model(points, values, error=0.06).mean(np.array([points[4]]))[0] < 0.58
    assert model(points, values, error=0.001).mean(np.array([points[4]]))[0] > 0.6


def test_where_errors_are_not_known_they_are_estimated() -> None:
    smooth = [(i, 0) for i in range(5)]
    fitted = model(smooth, [0.1, 0.3, 0.5, 0.7, 0.9], error=None)
    assert np.abs(fitted.mean(np.array(smooth)) - [0.1, 0.3, 0.5, 0.7, 0.9]).max() < 0.1


def test_many_trials_are_thinned_out_and_the_best_stay() -> None:
    rng = np.random.default_rng(0)
    points, values = rng.integers(0, 3, (400, 2)), rng.random(400)
    fitted = Surrogate(points, values, np.full(400, 0.1), GRIDS, UNORDERED, seed=0)
    assert np.isfinite(fitted.mean(points)).all()


def test_what_may_be_much_better_promises_most() -> None:
    means, spreads = np.array([[0.5, 0.5, 0.7]]), np.array([[0.01, 0.2, 0.01]])
    sure, unsure, better = improvement(means, spreads, 0.6)
    assert sure < unsure < better


def test_a_trial_that_was_dropped_after_hard_examples_is_judged_by_all() -> None:
    rng = np.random.default_rng(1)
    ease = np.where(np.arange(100) < 20, -0.4, 0.1)
    whole = [np.clip(0.5 + ease + worth + 0.05 * rng.standard_normal(100), 0, 1) for worth in (0.0, 0.05, 0.1)]
    dropped = 0.55 + ease[:20] + 0.05 * rng.standard_normal(20)
    *others, last = estimates([*whole, dropped])
    assert abs(last.value - (np.mean([row.mean() for row in whole]) + 0.0)) < 0.06
    assert dropped.mean() < last.value - 0.2
    assert last.error > others[0].error


def test_of_one_trial_nothing_is_left_over_to_tell_chance_by() -> None:
    (only,) = estimates([np.array([1.0, 0.0, 1.0, 1.0])])
    assert only.value == 0.75
    assert only.error > 0.05
    assert estimates([]) == []
