from __future__ import annotations

import math
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM

from dspy_fusion.programs import BestOfN, ConfigurationError, ScorerError


def growing(request: Any) -> dict[str, str]:
    return {"answer": "x" * (request.config.seed + 1)}


def length(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return len(prediction.answer) / 10


def test_takes_the_highest_score_unchanged() -> None:
    with dspy.context(lm=ScriptedLM(growing)):
        pool = BestOfN(dspy.Predict("question -> answer"), n=4, scorer=length)(question="q").pool
    assert (pool.chosen, [candidate.score for candidate in pool.candidates]) == (3, [0.1, 0.2, 0.3, 0.4])


def test_stops_where_dspys_best_of_n_stops() -> None:
    ours, theirs = ScriptedLM(growing), ScriptedLM(lambda r: {"answer": "x" * (len(theirs.requests))})
    with dspy.context(lm=ours):
        BestOfN(dspy.Predict("question -> answer"), n=6, scorer=length, threshold=0.3, max_concurrency=1)(question="q")
    with dspy.context(lm=theirs):
        dspy.BestOfN(module=dspy.Predict("question -> answer"), N=6, reward_fn=length, threshold=0.3)(question="q")
    assert len(ours.requests) == len(theirs.requests) == 3


def test_rounds_end_when_one_is_good_enough() -> None:
    lm = ScriptedLM(growing)
    with dspy.context(lm=lm):
        pool = BestOfN(dspy.Predict("question -> answer"), n=6, scorer=length, threshold=0.3, max_concurrency=2)(
            question="q"
        ).pool
    assert len(lm.requests) == 4
    assert (pool.chosen, pool.depth) == (3, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.5"])
def test_a_score_that_is_no_number_raises_and_names_it(value: Any) -> None:
    with (
        dspy.context(lm=ScriptedLM(growing)),
        pytest.raises(ScorerError, match=r"the scorer returned .*; return a finite number"),
    ):
        BestOfN(dspy.Predict("question -> answer"), n=2, scorer=lambda args, pred: value)(question="q")


def test_nothing_drawn_is_lost_to_a_bad_scorer(tmp_path: Any) -> None:
    from dspy_fusion.programs import CandidateBank

    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
    with dspy.context(lm=ScriptedLM(growing)), pytest.raises(ScorerError):
        BestOfN(dspy.Predict("question -> answer"), n=3, scorer=lambda args, pred: math.nan, bank=bank)(question="q")
    assert len(bank) == 3


def test_a_scorer_that_raises_once_costs_one_score() -> None:
    def picky(args: dict[str, Any], prediction: dspy.Prediction) -> float:
        if prediction.answer == "xx":
            raise ValueError("not this one")
        return length(args, prediction)

    with dspy.context(lm=ScriptedLM(growing)):
        pool = BestOfN(dspy.Predict("question -> answer"), n=2, scorer=picky)(question="q").pool
    assert pool.chosen == 0
    assert "not this one" in pool.candidates[1].score_error


def test_a_coroutine_is_no_scorer() -> None:
    async def reward(args: dict[str, Any], prediction: dspy.Prediction) -> float:
        return 1.0

    with pytest.raises(ConfigurationError, match="is a coroutine function"):
        BestOfN(dspy.Predict("question -> answer"), n=2, scorer=reward)
