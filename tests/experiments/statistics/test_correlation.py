from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from dspy_fusion.experiments.statistics.correlation import average_ranks, rank_correlation

Scores = dict[tuple[str, int], float]


def one_seed(values: np.ndarray) -> Scores:
    return {(f"{i:03}", 0): float(value) for i, value in enumerate(values)}


def test_correlation_agrees_with_scipy_and_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    xs = rng.normal(size=80)
    ys = xs + rng.normal(size=80)
    found = rank_correlation(one_seed(xs), one_seed(ys))
    assert found is not None
    assert found.mean == pytest.approx(spearmanr(xs, ys).statistic)
    assert 0.3 < found.low < found.mean < found.high < 0.9


def test_what_does_not_vary_has_no_correlation() -> None:
    assert rank_correlation(one_seed(np.ones(9)), one_seed(np.arange(9))) is None


def test_two_examples_are_too_few() -> None:
    assert rank_correlation(one_seed(np.arange(2)), one_seed(np.arange(2))) is None


def test_seeds_of_an_example_are_resampled_together() -> None:
    xs = one_seed(np.random.default_rng(1).normal(size=20))
    ys = one_seed(np.random.default_rng(2).normal(size=20))
    thrice = [
        {(example, seed): value for (example, _), value in side.items() for seed in range(3)} for side in (xs, ys)
    ]
    once, repeated = rank_correlation(xs, ys), rank_correlation(*thrice)
    assert once is not None
    assert repeated is not None
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 1.0, 3.0])
    assert average_ranks(values).tolist() == rankdata(values).tolist() == [5.0, 1.5, 5.0, 3.0, 1.5, 5.0]
