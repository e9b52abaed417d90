from __future__ import annotations

import json
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM
from dspy.adapters.types.decision import Choice

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


def test_decisions_vote_by_their_value_and_not_by_their_confidence() -> None:
    evidence = [({"no": 0.95, "yes": 0.05}, 0.9), ({"no": 0.2, "yes": 0.8}, 0.6), ({"no": 0.1, "yes": 0.9}, 0.7)]
    texts = [json.dumps({"answer": {"probabilities": said, "confidence": sure}}) for said, sure in evidence]
    kind = Choice[("no", "refuse"), ("yes", "accept")]
    task = dspy.Signature("question -> answer: Kind", custom_types={"Kind": kind})
    task = task.with_updated_fields("answer", desc="whether to accept it")
    with dspy.context(lm=ScriptedLM(lambda request: texts[request.config.seed])):
        prediction = Vote(dspy.Predict(task), n=3)(question="q")
    assert (prediction.answer.value, prediction.answer.confidence, prediction.pool.chosen) == ("yes", 0.6, 1)


def test_structures_vote_by_what_they_hold_and_win_unchanged() -> None:
    rows = [{"answer": ["Rome"]}, {"answer": ["**Paris**", "Lyon."]}, {"answer": ["paris", "lyon"]}]
    with dspy.context(lm=by_seed(*rows)):
        prediction = Vote(dspy.Predict("question -> answer: list[str]"), n=3)(question="q")
    assert prediction.answer == ["**Paris**", "Lyon."]


def test_floats_vote_within_a_tolerance() -> None:
    with dspy.context(lm=by_seed({"answer": 3.0}, {"answer": 10.0}, {"answer": 10.1})):
        assert Vote(dspy.Predict("question -> answer: float"), n=3)(question="q").answer == 3.0
        assert Vote(dspy.Predict("question -> answer: float"), n=3, tolerance=0.02)(question="q").answer == 10.0
    with pytest.raises(ConfigurationError, match=r"tolerance must be at least 0, as 0\.01 for one percent, but got -1"):
        Vote(dspy.Predict("question -> answer: float"), tolerance=-1)


def test_negative_weights_do_not_reward_the_rarer_answer() -> None:
    with dspy.context(lm=by_seed({"answer": "rare"}, {"answer": "common"}, {"answer": "common"})):
        vote = Vote(dspy.Predict("question -> answer"), n=3, weights=lambda args, pred: -1.0)
        assert vote(question="q").answer == "common"
