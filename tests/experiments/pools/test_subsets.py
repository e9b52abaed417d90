from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from dspy_fusion.experiments.pools.subsets import best_of_subsets, rotated_orders


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_formula_is_the_mean_over_all_subsets(size: int) -> None:
    ranked = np.random.default_rng(size).random((3, size))
    found = best_of_subsets(ranked)
    for n in range(1, size + 1):
        brute = [ranked[:, subset[0]] for subset in combinations(range(size), n)]
        assert found[:, n - 1] == pytest.approx(np.mean(brute, axis=0))


def test_orders_are_seeded_and_complete() -> None:
    blocks = list(rotated_orders(4, 5, subsets=12, seed=3))
    assert [block.shape for block in blocks] == [(4, 5, 5)] * 3
    assert (np.sort(blocks[0], axis=2) == np.arange(5)).all()
    assert all(
        (one == other).all() for one, other in zip(blocks, rotated_orders(4, 5, subsets=12, seed=3), strict=True)
    )
    assert not all(
        (one == other).all() for one, other in zip(blocks, rotated_orders(4, 5, subsets=12, seed=4), strict=True)
    )


def test_every_candidate_has_every_place_equally_often() -> None:
    (block,) = rotated_orders(2, 4, subsets=1, seed=0)
    assert (np.sort(block, axis=1) == np.arange(4)[:, None]).all()
