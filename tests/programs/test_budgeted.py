"""A number of calls for a whole data set goes where it matters."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of

from dspy_fusion.programs import BestOfN, BudgetedEvaluate, CandidateBank, ConfigurationError, Fusion, Vote, limited

EASY = [dspy.Example(question=f"easy {i}", answer="right").with_inputs("question") for i in range(10)]
HARD = [dspy.Example(question=f"hard {i}", answer="right").with_inputs("question") for i in range(10)]


def answer(request: Any) -> dict[str, str]:
    """Right always where it is easy, and three times in five where it is hard."""
    prompt = prompt_of(request)
    if is_fusor(request):
        return {"comparison": "c", "answer": "right"}
    question = prompt.split("question ## ]]\n")[1].split("\n")[0]
    lucky = random.Random(f"{question} {request.config.seed}").random() < 0.6
    return {"answer": "right" if question.startswith("easy") or lucky else "wrong"}


def right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return float(example.answer == prediction.get("answer"))


def evaluated(program: Any, **options: Any) -> Any:
    return BudgetedEvaluate(devset=EASY + HARD, metric=right, **{"calls": 160, "num_threads": 2, **options})(program)


def vote(**options: Any) -> Vote:
    return Vote(dspy.Predict("question -> answer"), **options)


def test_doubtful_questions_get_more_candidates_and_the_total_is_kept() -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        result = evaluated(vote(n=8))
        uniform = dspy.Evaluate(devset=EASY + HARD, metric=right, num_threads=2)(vote(n=8))
    assert sum(result.drawn) == result.calls == 160
    assert len(lm.requests) == 320
    easy, hard = result.drawn[:10], result.drawn[10:]
    assert sum(hard) > 2 * sum(easy)
    assert max(result.drawn) <= 20
    assert result.score >= uniform.score
    assert [len(prediction.pool.candidates) for _, prediction, _ in result.results] == result.drawn


def test_the_same_candidates_in_the_same_places_whatever_the_threads_and_the_bank(tmp_path: Path) -> None:
    with dspy.context(lm=ScriptedLM(answer)):
        first = evaluated(vote(), num_threads=1)
        banked = [evaluated(vote(bank=CandidateBank(tmp_path / "bank.db")), num_threads=4) for _ in range(2)]
        whole = vote(n=20)(question="hard 3").pool.candidates
    assert [result.drawn for result in banked] == [first.drawn] * 2
    early = first.results[13][1].pool.candidates
    assert [c.prediction.answer for c in early] == [c.prediction.answer for c in whole][: len(early)]


def test_a_fusors_calls_are_part_of_the_total() -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm), limited(calls=100) as spent:
        result = evaluated(Fusion(dspy.Predict("question -> answer")), calls=100)
    assert result.score == 100.0
    assert result.calls == spent.usage.calls == len(lm.requests) == 100


def test_what_cannot_be_answered_scores_as_a_failure() -> None:
    def fails(request: Any) -> Any:
        if "hard 0" in prompt_of(request):
            raise ValueError("boom")
        return answer(request)

    with dspy.context(lm=ScriptedLM(fails)):
        result = evaluated(vote(), calls=60, failure_score=-1.0)
    assert result.results[10][2] == -1.0
    assert sum(result.drawn) == 60


def test_an_easy_data_set_leaves_calls_unspent() -> None:
    with dspy.context(lm=ScriptedLM(lambda request: {"answer": "right"})):
        result = evaluated(vote(), calls=10_000)
    assert max(result.drawn) <= 20
    assert result.score == 100.0


@pytest.mark.parametrize(
    ("options", "program", "message"),
    [
        ({"calls": 39}, vote, r"calls must be at least 2 for each of 20 examples, so 40, but got calls=39"),
        ({"least": 0}, vote, "least must be from 1 to most=20, but got least=0"),
        ({"least": 30}, vote, "least must be from 1 to most=20, but got least=30"),
        ({"devset": []}, vote, "devset must hold at least one example"),
        ({}, lambda: BestOfN(dspy.Predict("question -> answer"), scorer=lambda a, p: 1.0), "but got BestOfN"),
        ({}, lambda: vote(weights=lambda args, pred: 1.0), "leave weights out"),
        ({"calls": 50}, lambda: Fusion(dspy.Predict("question -> answer")), "leaves no call for the fusor; give 20"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], program: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BudgetedEvaluate(**{"devset": EASY + HARD, "metric": right, "calls": 160, **options})(program())
