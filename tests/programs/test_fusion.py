"""What is Fusion's own; what every program promises is in test_contract.py."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of

from dspy_fusion import ConfigurationError, Fusion, FusorFailed

TASK = "question -> answer"


def script(*candidates: str, fused: Any = "fused") -> ScriptedLM:
    """Candidate i says ``candidates[i]``; the fusor says ``fused``."""
    return ScriptedLM(lambda request: {"answer": fused if is_fusor(request) else candidates[request.config.seed]})


def test_the_answer_is_the_fusors_and_need_not_be_a_candidate() -> None:
    with dspy.context(lm=script("a", "b", "c")):
        prediction = Fusion(dspy.Predict(TASK), n=3)(question="q")
    assert prediction.answer == "fused"
    assert prediction.pool.chosen is None
    assert (prediction.pool.depth, prediction.pool.total.calls) == (2, 4)


def test_the_fusor_sees_every_candidate_that_succeeded_once() -> None:
    lm = script("alpha", "beta", "gamma")
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict(TASK), n=3)(question="q")
    (asked,) = [prompt_of(request) for request in lm.requests if is_fusor(request)]
    assert [asked.count(text) for text in ("alpha", "beta", "gamma")] == [1, 1, 1]
    assert sorted(prediction.pool.shown) == [0, 1, 2]


def test_without_shuffling_the_order_is_the_candidates_own() -> None:
    with dspy.context(lm=script("a", "b", "c", "d")):
        prediction = Fusion(dspy.Predict(TASK), n=4, shuffle=False)(question="q")
    assert prediction.pool.shown == (0, 1, 2, 3)


def test_the_fusor_is_told_its_instructions() -> None:
    lm = script("a", "b")
    with dspy.context(lm=lm):
        Fusion(dspy.Predict(TASK), n=2, instructions="Join them with care.")(question="q")
    assert ["Join them with care." in system_of(request) for request in lm.requests if is_fusor(request)] == [True]


def test_one_candidate_is_fused_too() -> None:
    with dspy.context(lm=script("a")):
        prediction = Fusion(dspy.Predict(TASK), n=1)(question="q")
    assert (prediction.answer, prediction.pool.shown) == ("fused", (0,))


def test_a_fusor_that_fails_leaves_the_best_candidate_or_raises() -> None:
    typed = dspy.Signature("question -> answer: int")
    lm = ScriptedLM(lambda request: {"answer": "none" if is_fusor(request) else "7"})
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict(typed), n=2)(question="q")
        assert prediction.answer == 7
        assert prediction.pool.fallback
    with dspy.context(lm=lm), pytest.raises(FusorFailed, match="answer"):
        Fusion(dspy.Predict(typed), n=2, on_fusor_failure="raise")(question="q")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1, but got n=0"),
        ({"n": 2, "quorum": 3}, "quorum must be at most n=2, but got quorum=3"),
        (
            {"on_fusor_failure": "ignore"},
            "on_fusor_failure must be 'best' or 'raise', but got on_fusor_failure='ignore'",
        ),
        ({"fusor_temperature": 3.0}, "fusor_temperature"),
        ({"lms": []}, "lms must hold at least one model"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Fusion(dspy.Predict(TASK), **options)
