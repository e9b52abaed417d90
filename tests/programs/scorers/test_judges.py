from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of

from dspy_fusion.programs import BestOfN, ConfigurationError, LMJudge, ScorerError
from dspy_fusion.programs.pools.candidates import Candidate


def judged_as(*verdicts: str) -> ScriptedLM:
    """Candidate i answers ``a{i}``, and its verdict is the i-th."""

    def answer(request: Any) -> Any:
        if "verdict" not in prompt_of(request):
            return {"answer": f"a{request.config.seed}"}
        return {"verdict": next(text for i, text in enumerate(verdicts) if f"a{i}" in prompt_of(request))}

    return ScriptedLM(answer)


def test_one_unreadable_verdict_costs_one_score() -> None:
    with dspy.context(lm=judged_as("hm", "1/2")):
        pool = BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge())(question="q").pool
    assert pool.chosen == 1
    assert "hm" in pool.candidates[0].score_error


def test_a_judge_that_never_answers_raises() -> None:
    with (
        dspy.context(lm=judged_as("hm", "hm")),
        pytest.raises(ScorerError, match=r"LMJudge scored none of 2 candidates.*'hm'"),
    ):
        BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge())(question="q")


def test_a_judge_alone_says_what_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="not bound to a task"):
        list(LMJudge().steps({}, [Candidate(0, dspy.Prediction(answer="a"))]))


def test_a_rating_says_where_on_the_scale_an_answer_lies() -> None:
    with dspy.context(lm=judged_as("Rating: 1", "Good. Rating: 10", "Rating: 5.5", "Rating: 12")):
        pool = BestOfN(dspy.Predict("question -> answer"), n=4, scorer=LMJudge(scale=(1, 10)))(question="q").pool
    assert [candidate.score for candidate in pool.candidates] == [0, 1, 0.5, None]
    assert "no rating from 1 to 10" in pool.candidates[3].score_error


def test_the_judge_sees_the_rubric_which_tuning_leaves_alone() -> None:
    lm = judged_as("1/2", "1/1")
    program = BestOfN(
        dspy.Predict("question -> answer"), n=2, scorer=LMJudge(lm, rubric="Half the points for the units.")
    )
    judge = program.scorer.judge
    judge.signature = judge.signature.with_instructions("Tuned.")
    with dspy.context(lm=lm):
        program(question="q")
    assert sum("Half the points for the units." in prompt_of(request) for request in lm.requests) == 2


def test_a_tuned_judge_stays_tuned_for_another_task() -> None:
    first = BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge())
    first.scorer.judge.signature = first.scorer.judge.signature.with_instructions("Tuned.")
    second = BestOfN(dspy.Predict("topic -> essay"), n=2, scorer=first.scorer)
    assert second.scorer.judge.signature.instructions == "Tuned."
    assert list(second.scorer.judge.signature.input_fields) == ["task", "topic", "candidates"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (10, 1)}, r"scale must be the lowest and the highest rating.*got scale=\(10, 1\)"),
        ({"temperature": 3}, "temperature must be between 0 and 2, but got temperature=3"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LMJudge(**options)


def test_a_rubric_does_not_hide_a_field_of_the_task() -> None:
    lm = judged_as("1/2", "1/1")
    scorer = LMJudge(lm, rubric="Be strict.")
    with dspy.context(lm=lm):
        BestOfN(dspy.Predict("question, rubric -> answer"), n=2, scorer=scorer)(question="q", rubric="the task's own")
    judged = [prompt_of(request) for request in lm.requests if "Be strict." in prompt_of(request)]
    assert len(judged) == 2
    assert all("[[ ## rubric ## ]]\nthe task's own" in text for text in judged)
