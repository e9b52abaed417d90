from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.pools.voting import all_ballots, vote_curve
from dspy_fusion.programs.pools.selection import winner

Pool = Callable[..., RecordedPool]
LETTERS = "Aabbc-?"


def by_hand(pool: RecordedPool, order: tuple[int, ...], weights: np.ndarray, row: int) -> float:
    """What ``programs.Vote`` would return the quality of: the rule that all votes of the library follow."""
    voters = [place for place in order if pool.answers[row, place] >= 0]
    if not voters:
        return 0.0
    keys = [int(pool.answers[row, place]) for place in voters]
    return float(pool.quality[row, voters[winner(keys, [float(weights[row, place]) for place in voters])]])


@pytest.mark.parametrize("weighted", [False, True])
def test_each_beginning_of_each_order_votes_by_the_programs_rule(weighted: bool, pool: Pool) -> None:
    rng = np.random.default_rng(7)
    letters = pool(*["".join(rng.choice(list(LETTERS), size=6)) for _ in range(30)])
    weights = rng.integers(0, 4, size=letters.shape) / 2 if weighted else np.ones(letters.shape)
    for ballots in all_ballots(letters, weights, subsets=12, seed=1):
        for row in range(30):
            for turn in range(6):
                order = ballots.orders[row, turn]
                for n in range(1, 7):
                    assert ballots.quality[row, turn, n - 1] == by_hand(letters, tuple(order[:n]), weights, row)


def test_many_orders_come_close_to_all_of_them(pool: Pool) -> None:
    letters = pool("AAbbc", "Abbcc")
    found = vote_curve(letters, subsets=20_000, seed=0)
    weights = np.ones(letters.shape)
    for row in range(2):
        for n in range(1, 6):
            exact = np.mean([by_hand(letters, order[:n], weights, row) for order in permutations(range(5))])
            assert found[row, n - 1] == pytest.approx(exact, abs=0.02)


def test_one_vote_is_one_candidate_on_average_whatever_the_seed(pool: Pool) -> None:
    letters = pool("Abcde", "AAAbc", "abcde")
    assert vote_curve(letters, subsets=1, seed=5)[:, 0] == pytest.approx(letters.quality.mean(axis=1))


def test_an_unanimous_pool_has_a_majority_and_a_split_one_has_none(pool: Pool) -> None:
    (ballots,) = all_ballots(pool("AAA", "Abc"), None, subsets=1, seed=0)
    assert ballots.majority[0].all()
    assert not ballots.majority[1, :, 1:].any()


def test_who_gave_no_answer_counts_against_a_majority_but_does_not_vote(pool: Pool) -> None:
    letters = pool("A?-", "???")
    (ballots,) = all_ballots(letters, None, subsets=1, seed=0)
    assert (ballots.quality[0, :, 2] == 1).all()
    assert not ballots.majority[0, :, 2].any()
    assert not ballots.quality[1].any()


def test_large_pools_are_worked_on_in_parts(pool: Pool) -> None:
    letters = pool(*["AAb", "abb"] * 1200)
    found = vote_curve(letters, subsets=1, seed=0)
    assert found.shape == (2400, 3)
    assert (found[::2, 2] == 1).all()
    assert not found[1::2].any()
