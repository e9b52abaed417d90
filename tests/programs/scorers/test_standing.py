from __future__ import annotations

import random

import pytest

from dspy_fusion.programs.scorers.standing import Standing


def played(count: int, *matches: tuple[int, int, float]) -> Standing:
    standing = Standing(count)
    for a, b, win in matches:
        standing.enter(a, b, win, 1.0)
    return standing


def test_heavier_matches_count_for_more() -> None:
    standing = Standing(3)
    standing.enter(0, 1, 1.0, 0.3)
    standing.enter(0, 2, 0.0, 0.1)
    assert standing.score(0) == pytest.approx(0.75)
    assert (standing.score(1), standing.score(2)) == (0, 1)


def test_covering_pairs_are_disjoint_and_seeded() -> None:
    draws = {tuple(Standing(8).covering_pairs(1, random.Random(seed))) for seed in range(5)}
    assert len(draws) > 1
    assert all(sorted(place for pair in draw for place in pair) == list(range(8)) for draw in draws)


def test_whoever_sat_out_is_covered_first() -> None:
    standing = played(3, (0, 1, 1.0))
    assert {place for pair in standing.covering_pairs(1, random.Random(0)) for place in pair} > {2}


def test_covered_players_meet_by_standing() -> None:
    standing = played(4, (0, 1, 1.0), (2, 3, 1.0))
    assert standing.covering_pairs(1, random.Random(0)) == []
    assert standing.swiss_pairs(window=8) == [(0, 2), (1, 3)]


def test_nearest_shares_meet_first_and_nobody_twice() -> None:
    standing = played(4, (0, 1, 1.0), (2, 3, 0.5), (0, 2, 1.0))
    assert standing.swiss_pairs(window=8) == [(2, 1), (0, 3)]


def test_the_window_keeps_far_apart_players_apart() -> None:
    standing = played(4, (0, 3, 1.0), (1, 2, 1.0), (0, 1, 1.0), (2, 3, 1.0))
    assert standing.swiss_pairs(window=1) == []
    assert standing.swiss_pairs(window=2) == [(0, 2), (1, 3)]


def test_a_match_that_cannot_be_judged_counts_for_neither() -> None:
    standing = Standing(2)
    standing.enter_failure(0, 1, "mumbled")
    assert (standing.score(0), standing.error(0)) == (None, "mumbled")
    assert standing.swiss_pairs(window=8) == []
