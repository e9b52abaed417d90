from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from dspy_fusion.optimizers.bootstrap import of_difference, of_mean, resampled_sums


def test_interval_holds_the_mean_and_shrinks_with_more_examples() -> None:
    small, large = of_mean([0.0, 1.0] * 5), of_mean([0.0, 1.0] * 500)
    assert small.low < small.mean == 0.5 < small.high
    assert large.high - large.low < small.high - small.low


def test_pairs_are_compared_one_by_one() -> None:
    before = list(np.linspace(0, 1, 30))
    gain = of_difference([score + 0.1 for score in before], before)
    assert (gain.low, gain.high) == (pytest.approx(0.1), pytest.approx(0.1))


def test_nothing_is_known_from_one_example() -> None:
    assert of_mean([0.5]).low == float("-inf")


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = [found.low <= 0.7 <= found.high for found in (of_mean(list(rng.random(60) < 0.7)) for _ in range(300))]
    assert 0.9 < np.mean(hits) < 0.99


def test_intervals_of_very_many_examples_go_on_from_those_of_many() -> None:
    values = list(np.random.default_rng(3).random(2001) < 0.7)
    few, many = of_mean(values[:2000]), of_mean(values)
    assert abs(few.low - many.low) < 2e-3
    assert abs(few.high - many.high) < 2e-3


@pytest.mark.parametrize("sizes", [(12_000,), (7_000, 5_000)])
def test_sums_of_very_many_examples_vary_as_much_as_they_should(sizes: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).random(12_000) + np.repeat(np.arange(len(sizes)), sizes)
    sums = resampled_sums(np.column_stack([values, np.ones(12_000)]), sizes, 1000, seed=0)
    assert sums.shape == (1000, len(sizes), 2)
    for place, part in enumerate(np.split(values, np.cumsum(sizes)[:-1])):
        assert sums[:, place, 0].mean() == pytest.approx(part.sum(), rel=1e-3)
        assert sums[:, place, 0].std() == pytest.approx(part.std() * np.sqrt(len(part)), rel=0.1)
        assert set(sums[:, place, 1]) == {len(part)}


def test_resampling_very_many_examples_takes_little_memory() -> None:
    columns = np.random.default_rng(2).random((20_000, 1))
    tracemalloc.start()
    resampled_sums(columns, (20_000,), 1000, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000
