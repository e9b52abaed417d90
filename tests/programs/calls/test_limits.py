from __future__ import annotations

import asyncio

import dspy
import pytest
from conftest import ScriptedLM, answers

from dspy_fusion.programs import BestOfN, CandidateBank, ConfigurationError, Fusion, QuorumNotMet
from dspy_fusion.programs.calls.limits import limited
from dspy_fusion.programs.errors import LimitReached

TASK = "question -> answer"
PRICES = {"scripted/model": (1000.0, 2000.0)}  # 0.016 dollars a call


def test_calls_never_go_over_the_limit() -> None:
    lm = ScriptedLM(answers("a", "b", "c"))
    with dspy.context(lm=lm), limited(calls=3) as spent:
        answer = Fusion(dspy.Predict(TASK), n=5)(question="q")
    assert (len(lm.requests), spent.usage.calls, len(answer.pool.good)) == (3, 3, 3)
    assert "LimitReached: the limit of 3 calls is used up (3)" in answer.pool.fallback
    assert {candidate.error for candidate in answer.pool.candidates if not candidate.ok} == {
        "LimitReached: the limit of 3 calls is used up (3)"
    }


def test_an_unmet_quorum_names_the_limit() -> None:
    with dspy.context(lm=ScriptedLM(answers("a"))), limited(calls=2):
        with pytest.raises(QuorumNotMet, match="the limit of 2 calls is used up"):
            Fusion(dspy.Predict(TASK), n=5, quorum=3)(question="q")


@pytest.mark.parametrize(
    ("limit", "calls"),
    [
        ({"calls": 2}, 2),
        ({"tokens": 20}, 2),
        ({"usd": 0.03, "prices": PRICES}, 2),
        ({"usd": 0.01, "prices": PRICES}, 1),
    ],
)
def test_a_call_over_a_limit_is_raised_outside_of_programs(limit: dict, calls: int) -> None:
    lm, predict = ScriptedLM(answers("a")), dspy.Predict(TASK)

    def ask_on() -> None:
        with dspy.context(lm=lm), limited(**limit):
            for _ in range(4):
                predict(question="q")

    with pytest.raises(LimitReached, match="is used up"):
        ask_on()
    assert len(lm.requests) == calls


def test_calling_and_awaiting_are_limited_alike() -> None:
    lm = ScriptedLM(answers("a", "b"))
    with dspy.context(lm=lm), limited(calls=3):
        answer = asyncio.run(BestOfN(dspy.Predict(TASK), n=5, scorer=lambda a, p: 0.5).acall(question="q"))
    assert (len(lm.requests), len(answer.pool.good)) == (3, 3)


def test_limits_hold_for_nested_programs_and_within_each_other() -> None:
    lm = ScriptedLM(answers("a", "b"))
    inner = BestOfN(dspy.Predict(TASK), n=3, scorer=lambda a, p: 0.5)
    with dspy.context(lm=lm), limited(calls=100) as outer, limited(calls=5) as spent:
        BestOfN(inner, n=3, scorer=lambda a, p: 0.5, signature=TASK)(question="q")
    assert (len(lm.requests), spent.usage.calls, outer.usage.calls) == (5, 5, 5)


def test_what_a_bank_replays_is_free(tmp_path) -> None:
    program = BestOfN(
        dspy.Predict(TASK), n=3, scorer=lambda a, p: 0.5, bank=CandidateBank(f"sqlite:///{tmp_path / 'b.db'}")
    )
    with dspy.context(lm=ScriptedLM(answers("a"))):
        program(question="q")
        with limited(calls=1):
            assert len(program(question="q").pool.good) == 3


def test_money_is_counted_by_the_price_table() -> None:
    with dspy.context(lm=ScriptedLM(answers("a"))), limited(usd=1, prices=PRICES) as spent:
        dspy.Predict(TASK)(question="q")
    assert spent.usd == pytest.approx(0.016)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"calls": 0}, "calls must be positive, but got calls=0; leave it out"),
        ({"tokens": True}, "tokens must be positive, but got tokens=True"),
        ({"usd": float("nan"), "prices": PRICES}, "usd must be positive"),
        ({"usd": 1.0}, "a limit in usd needs prices="),
        ({"usd": 1.0, "prices": {"other": (1.0, 1.0)}}, "no price for the model 'scripted/model'; add it"),
    ],
)
def test_a_wrong_limit_is_named(limit: dict, message: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(ConfigurationError, match=message):
        with limited(**limit):
            dspy.Predict(TASK)(question="q")
