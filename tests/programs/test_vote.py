from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM

from dspy_fusion.programs import ConfigurationError, Vote


def by_seed(*rows: dict[str, Any]) -> ScriptedLM:
    return ScriptedLM(lambda request: rows[request.config.seed])


def test_most_say_wins_in_its_first_form() -> None:
    with dspy.context(lm=by_seed({"answer": "Rome"}, {"answer": "Paris."}, {"answer": "paris"})):
        prediction = Vote(dspy.Predict("question -> answer"), n=3)(question="q")
    assert (prediction.answer, prediction.pool.chosen) == ("Paris.", 1)


def test_a_chain_of_thought_stays_with_its_answer() -> None:
    rows = [{"reasoning": f"r{i}", "answer": answer} for i, answer in enumerate("abb")]
    with dspy.context(lm=by_seed(*rows)):
        prediction = Vote(dspy.ChainOfThought("question -> answer"), n=3)(question="q")
    assert prediction.toDict() == {"reasoning": "r1", "answer": "b"}


def test_fields_are_voted_separately() -> None:
    rows = [
        {"sure": "True", "count": 1},
        {"sure": "False", "count": 2},
        {"sure": "True", "count": 2},
        {"sure": "False", "count": 3},
    ]
    with dspy.context(lm=by_seed(*rows)):
        prediction = Vote(dspy.Predict("question -> sure: bool, count: int"), n=4)(question="q")
    assert prediction.toDict() == {"sure": True, "count": 2}
    assert prediction.pool.chosen == 2


def test_an_answer_that_no_candidate_gave_is_not_called_chosen() -> None:
    rows = [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 3}, {"a": 3, "b": 3}]
    with dspy.context(lm=by_seed(*rows)):
        prediction = Vote(dspy.Predict("question -> a: int, b: int"), n=4)(question="q")
    assert (prediction.toDict(), prediction.pool.chosen) == ({"a": 1, "b": 3}, None)


def test_weights_can_overrule_the_many() -> None:
    with dspy.context(lm=by_seed({"answer": "good"}, {"answer": "bad"}, {"answer": "bad"})):
        vote = Vote(
            dspy.Predict("question -> answer"), n=3, weights=lambda args, pred: 0.9 if pred.answer == "good" else 0.4
        )
        assert vote(question="q").answer == "good"


def test_what_counts_as_equal_can_be_said() -> None:
    with dspy.context(lm=by_seed({"answer": "10"}, {"answer": "7"}, {"answer": "7.0"}, {"answer": "10.5"})):
        vote = Vote(dspy.Predict("question -> answer"), n=4, normalize=float)
        assert vote(question="q").answer == "7"


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"fields names 'sum', which is no output of the task; it has \['answer'\]"
    ):
        Vote(dspy.Predict("question -> answer"), fields=["sum"])
