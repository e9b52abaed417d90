from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from dspy_fusion.programs.pools.clusters import clusters, heaviest, labels, shares, vote_weights


def test_groups_come_in_the_order_of_their_first_members() -> None:
    groups = clusters(["Rome", "paris", "Paris.", "Oslo", "ROME"])
    assert groups == [[0, 4], [1, 2], [3]]
    assert (labels(groups), shares(groups)) == ([0, 1, 1, 2, 0], [0.4, 0.4, 0.2])
    assert clusters([]) == []


def test_rounding_does_not_part_floats_and_a_tolerance_joins_more() -> None:
    assert clusters([0.1 + 0.2, 0.3, 0.30001]) == [[0, 1], [2]]
    assert clusters([0.1 + 0.2 - 0.3, 0.0]) == [[0, 1]]
    assert clusters([0.1 + 0.2, 0.3], tolerance=0) == [[0], [1]]
    assert clusters([9.9, 10.0, 12.0], float, tolerance=0.02) == [[0, 1], [2]]
    assert clusters([1e-20, 2e-20]) == [[0, 1]]
    assert clusters([100, 101], int, tolerance=0.05) == [[0], [1]]


def test_closeness_holds_inside_structures() -> None:
    assert clusters([{"a": [0.1 + 0.2], "b": "X"}, {"b": "x", "a": [0.3]}, {"b": "y", "a": [0.3]}]) == [[0, 1], [2]]
    assert clusters([{0.1 + 0.2, 5.0}, {5.0, 0.3}]) == [[0, 1]]


def test_a_chain_of_close_values_is_not_one_group() -> None:
    assert clusters([1.0, 1.09, 1.18, 1.27, 1.36], tolerance=0.1) == [[0, 1, 2], [3, 4]]
    assert clusters([1.36, 1.27, 1.18, 1.09, 1.0], tolerance=0.1) == [[0, 1], [2, 3, 4]]


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 0.2, 0.5]))
def test_groups_do_not_depend_on_the_order(numbers: list[int], seed: int, tolerance: float) -> None:
    values = [number / 7 for number in numbers]
    places = list(range(len(values)))
    random.Random(seed).shuffle(places)
    straight = {frozenset(group) for group in clusters(values, tolerance=tolerance)}
    groups = clusters([values[place] for place in places], tolerance=tolerance)
    shuffled = {frozenset(places[i] for i in group) for group in groups}
    assert straight == shuffled
    assert sorted(place for group in straight for place in group) == sorted(places)


def test_a_rule_of_the_callers_wins() -> None:
    assert clusters(["10", "10.0", "x1"], normalize=lambda text: text[-1]) == [[0, 1], [2]]
    assert clusters([1.0, 1.0 + 1e-12], normalize=float) == [[0], [1]]
    assert clusters(["a", "b"], normalize=lambda text: float("nan")) == [[0, 1]]
    assert clusters([1, 2], normalize=lambda number: [number % 1]) == [[0, 1]]
    assert clusters(["A", "a"], normalize=str) == [[0], [1]]


@pytest.mark.parametrize(
    ("answers", "scores", "place"),
    [
        ("abb", [-1, -1, -1], 1),
        ("abb", [-0.1, -0.2, -0.2], 1),
        ("abbb", [-0.9, -1, -1, -1], 1),
        ("abb", [-1, -30, -40], 0),
        ("abb", [0.9, 0.4, 0.4], 0),
        ("abb", [math.nan, 0.1, 0.1], 1),
        ("abb", [-math.inf, -5, -5], 1),
        ("ba", [-2, -2], 0),
    ],
)
def test_negative_scores_do_not_reward_the_rarer_answer(answers: str, scores: list[float], place: int) -> None:
    weights = vote_weights(scores)
    assert min(weights) >= 0
    assert heaviest(clusters(list(answers)), weights) == place


def test_shares_follow_the_weights() -> None:
    groups = clusters(["a", "b", "b"])
    assert shares(groups, [0.5, 0.25, 0.25]) == [0.5, 0.5]
    assert shares(groups, [0.0, 0.0, 0.0]) == [0.0, 0.0]
