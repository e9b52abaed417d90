from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of

from dspy_fusion.programs import (
    BestOfN,
    ConfigurationError,
    GenSelect,
    JudgePanel,
    LMJudge,
    RewardFunction,
    ScorerError,
)


def judge(*verdicts: str) -> LMJudge:
    """A judge with a model of its own, which gives the i-th verdict to the answer ``a{i}``."""

    def answer(request: Any) -> Any:
        return {"verdict": next(text for i, text in enumerate(verdicts) if f"a{i}" in prompt_of(request))}

    return LMJudge(ScriptedLM(answer, name="scripted/judge"))


def best_of_three(panel: JudgePanel) -> Any:
    with dspy.context(lm=ScriptedLM(lambda request: {"answer": f"a{request.config.seed}"})):
        return BestOfN(dspy.Predict("question -> answer"), n=3, scorer=panel)(question="q")


def test_the_mean_of_the_judges_decides() -> None:
    prediction = best_of_three(JudgePanel([judge("1/2", "1/2", "0/2"), judge("0/2", "1/2", "1/2")]))
    assert prediction.answer == "a1"
    assert [candidate.score for candidate in prediction.pool.candidates] == [0.25, 0.5, 0.25]
    assert [candidate.judged for candidate in prediction.pool.candidates] == [(0.5, 0), (0.5, 0.5), (0, 0.5)]
    assert prediction.pool.usage["scorer"].calls == 6


def test_a_majority_is_one_vote_each_whatever_the_margin() -> None:
    judges = [judge("0.5", "0.6", "0.0"), judge("0.5", "0.6", "0.0"), judge("1.0", "0.0", "0.0")]
    prediction = best_of_three(JudgePanel(judges, combine="majority"))
    assert [candidate.score for candidate in prediction.pool.candidates] == pytest.approx([1 / 3, 2 / 3, 0])
    assert best_of_three(JudgePanel(judges)).answer == "a0"


def test_equals_share_a_vote() -> None:
    panel = JudgePanel([judge("1/2", "1/2", "0/2"), judge("1/2", "0/2", "0/2")], combine="majority")
    assert [candidate.score for candidate in best_of_three(panel).pool.candidates] == [0.75, 0.25, 0]


def test_a_judge_that_mumbles_is_left_out_for_that_candidate() -> None:
    pool = best_of_three(JudgePanel([judge("hm", "1/2", "hm"), judge("1/2", "0/2", "hm")])).pool
    assert [candidate.score for candidate in pool.candidates] == [0.5, 0.25, None]
    assert pool.candidates[0].score_error is None
    assert pool.candidates[2].score_error.count("hm") == 2


def test_a_panel_that_never_answers_raises_with_the_causes() -> None:
    with pytest.raises(ScorerError, match=r"JudgePanel scored none of 3 candidates.*'hm'"):
        best_of_three(JudgePanel([judge("hm", "hm", "hm"), judge("hm", "hm", "hm")]))


def test_judges_of_different_kinds_sit_on_one_panel() -> None:
    chooser = GenSelect(
        ScriptedLM(lambda request: {"verdict": "Judgment: 1"}, name="scripted/chooser"), shuffle=False, window=2
    )
    length = RewardFunction(lambda inputs, prediction: float(prediction.answer == "a2"))
    prediction = best_of_three(JudgePanel([chooser, length, judge("0/2", "0/2", "2/2")]))
    assert prediction.answer == "a2"
    assert prediction.pool.depth == 3
    assert prediction.pool.usage["scorer"].calls == 2 + 3


def test_the_judges_prompts_are_found_in_the_program() -> None:
    program = BestOfN(dspy.Predict("question -> answer"), n=3, scorer=JudgePanel([LMJudge(), GenSelect()]))
    assert {"scorer.judges[0].judge", "scorer.judges[1].judge", "scorer.judges[1].repeats"} < set(
        dict(program.named_parameters())
    )


@pytest.mark.parametrize(
    ("judges", "options", "message"),
    [
        ([LMJudge()], {}, "at least two judges, but got 1"),
        ([LMJudge(), "gpt"], {}, "judges must hold scorers such as LMJudge.*got 'gpt'"),
        ([LMJudge(), LMJudge()], {"combine": "max"}, "combine must be 'mean' or 'majority', but got combine='max'"),
    ],
)
def test_bad_panels_are_refused_by_name(judges: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        JudgePanel(judges, **options)
