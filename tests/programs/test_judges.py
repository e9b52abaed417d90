from __future__ import annotations

import re
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of

from dspy_fusion.programs import BestOfN, ConfigurationError, LMJudge, PairwiseTournament, ScorerError, UnreadableVerdict
from dspy_fusion.programs.judges import read_ratings, read_share


@pytest.mark.parametrize(
    ("verdict", "share"),
    [("3/4", 0.75), ("+-++ 3/4", 0.75), ("first 1/2, in all 7 of 10", 0.7), ("80%", 0.8), ("0.25", 0.25), ("Score: 1", 1.0)],
)
def test_shares_are_read(verdict: str, share: float) -> None:
    assert read_share(verdict) == share


@pytest.mark.parametrize("verdict", ["", "good", "7/4", "12", "3/0", "-1"])
def test_unreadable_shares_raise_with_the_text(verdict: str) -> None:
    with pytest.raises(UnreadableVerdict, match=re.escape(repr(verdict))):
        read_share(verdict)


def test_ratings_are_the_last_two_numbers() -> None:
    assert read_ratings("of 4 points: 7 4") == (7, 4)
    with pytest.raises(UnreadableVerdict, match="no two ratings"):
        read_ratings("the first is better, 8")


def lengths(request: Any) -> Any:
    """Answers of growing length; a judge that rates by length."""
    if "verdict" not in prompt_of(request):
        return {"answer": "x" * (1 + request.config.seed)}
    shown = re.search(r'\[("x+", "x+")\]', prompt_of(request)).group(1)
    first, second = (len(text) - 2 for text in shown.split(", "))
    return {"verdict": f"{first} {second}"}


@pytest.mark.parametrize(("rounds", "calls"), [(None, 2 * 6), (2, 2 * 4)])
def test_the_best_wins_the_tournament(rounds: int | None, calls: int) -> None:
    with dspy.context(lm=ScriptedLM(lengths)):
        best = BestOfN(dspy.Predict("question -> answer"), n=4, scorer=PairwiseTournament(rounds=rounds))
        prediction = best(question="q")
    assert prediction.answer == "xxxx"
    assert prediction.pool.usage["scorer"].calls == calls
    assert [c.score for c in prediction.pool.candidates][-1] == 1.0


def test_a_preference_for_a_place_cancels_out() -> None:
    def first_is_best(request: Any) -> Any:
        return {"verdict": "9 2"} if "verdict" in prompt_of(request) else {"answer": f"a{request.config.seed}"}

    with dspy.context(lm=ScriptedLM(first_is_best)):
        pool = BestOfN(dspy.Predict("question -> answer"), n=3, scorer=PairwiseTournament())(question="q").pool
    assert {candidate.score for candidate in pool.candidates} == {0.5}


def test_one_unreadable_verdict_costs_one_score() -> None:
    def mumbles_once(request: Any) -> Any:
        if "verdict" not in prompt_of(request):
            return {"answer": f"a{request.config.seed}"}
        return {"verdict": "hm" if "a0" in prompt_of(request) else "1/2"}

    with dspy.context(lm=ScriptedLM(mumbles_once)):
        pool = BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge())(question="q").pool
    assert pool.chosen == 1
    assert "hm" in pool.candidates[0].score_error


def test_a_judge_that_never_answers_raises() -> None:
    def mumbles(request: Any) -> Any:
        return {"verdict": "hm"} if "verdict" in prompt_of(request) else {"answer": "a"}

    with dspy.context(lm=ScriptedLM(mumbles)), pytest.raises(ScorerError, match=r"LMJudge scored none of 2 candidates.*'hm'"):
        BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge())(question="q")


def test_a_judge_alone_says_what_it_needs() -> None:
    from dspy_fusion.programs.candidates import Candidate

    with pytest.raises(ConfigurationError, match="not bound to a task"):
        list(LMJudge().steps({}, [Candidate(0, dspy.Prediction(answer="a"))]))
