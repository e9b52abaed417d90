from __future__ import annotations

from typing import Literal

import dspy
import pytest

from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.pools.selection import best_scored, fallback, normalized, shown_order, votable_fields, winner

TASK = dspy.Signature("question -> answer")


def candidate(index: int, answer: str, score: float | None = None) -> Candidate:
    return Candidate(index, dspy.Prediction(answer=answer), score=score)


@pytest.mark.parametrize(
    ("keys", "weights", "place"),
    [
        (["a", "b", "b"], None, 1),
        (["a", "b"], None, 0),
        (["b", "a", "a", "b"], None, 0),
        (["a", "b", "b"], [0.9, 0.3, 0.3], 0),
        (["a", "b", "b"], [0.5, 0.3, 0.3], 1),
    ],
)
def test_the_heaviest_group_wins_and_ties_go_first(keys: list[str], weights: list[float] | None, place: int) -> None:
    assert winner(keys, weights) == place


def test_best_score_ties_go_to_the_lowest_index() -> None:
    pool = [candidate(0, "a", 0.5), candidate(1, "b", 0.9), candidate(2, "c", 0.9), Candidate(3, error="failed")]
    assert best_scored(pool).index == 1
    assert best_scored([candidate(0, "a")]) is None


def test_fallback_takes_score_then_vote_then_first() -> None:
    assert fallback(TASK, [candidate(0, "a", 0.1), candidate(1, "b", 0.2)]).index == 1
    assert fallback(TASK, [candidate(0, "a"), candidate(1, "b"), candidate(2, "B ")]).index == 1
    assert fallback(TASK, [Candidate(0, error="x"), candidate(1, "b"), candidate(2, "c")]).index == 1


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("The  Answer.", "the answer", True),
        ("10", "10.0", False),
        (True, "True", False),
        ([1, 2], [1, 2], True),
        (None, "", False),
    ],
)
def test_votes_compare_normalized_values(left: object, right: object, equal: bool) -> None:
    assert (normalized(left) == normalized(right)) is equal


@pytest.mark.parametrize(
    ("signature", "fields"),
    [
        ("question -> answer", ["answer"]),
        ("question -> reasoning, answer", ["answer"]),
        ("question -> reasoning, sure: bool, answer: Literal['x', 'y']", ["sure", "answer"]),
        ("question -> tags: list[str], count: int", ["count"]),
        ("question -> count: Optional[int], note", ["count"]),
    ],
)
def test_exact_fields_are_voted_else_the_last(signature: str, fields: list[str]) -> None:
    from typing import Optional

    task = dspy.Signature(signature, custom_types={"Literal": Literal, "Optional": Optional})
    assert votable_fields(task) == fields


def test_orders_differ_by_input_and_are_repeatable() -> None:
    orders = {tuple(shown_order(6, seed=0, digest=str(i))) for i in range(20)}
    assert len(orders) > 10
    assert shown_order(6, seed=0, digest="x") == shown_order(6, seed=0, digest="x")
    assert len(set(shown_order(6, seed=0, digest="x", subset=3))) == 3
