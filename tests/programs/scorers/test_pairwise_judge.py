from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of

from dspy_fusion.programs import CandidateBank, ConfigurationError, PairwiseJudge

QUESTION = {"question": "2 + 2?"}


def says(verdict: Callable[[str], str]) -> ScriptedLM:
    return ScriptedLM(lambda request: {"verdict": verdict(prompt_of(request))})


def four_first(prompt: str) -> bool:
    """Whether the answer 4 is shown before the answer 5."""
    return prompt.index("four") < prompt.index("five")


def likes_four(prompt: str) -> str:
    return "[[A]]" if four_first(prompt) else "[[B]]"


def compare(lm: ScriptedLM, **options: Any) -> dspy.Prediction:
    return PairwiseJudge("question -> answer", lm, **options)(inputs=QUESTION, a="four", b="five")


def test_the_answer_that_wins_in_both_orders_wins() -> None:
    lm = says(likes_four)
    verdict = compare(lm)
    assert (verdict.winner, verdict.orders, verdict.error) == ("A", ["A", "A"], None)
    assert verdict.usage.calls == len(lm.requests) == 2


def test_a_preference_for_a_place_is_a_tie() -> None:
    verdict = compare(says(lambda prompt: "[[A]]"))
    assert (verdict.winner, verdict.orders) == ("tie", ["A", "B"])


def test_a_tie_in_one_order_alone_is_a_tie() -> None:
    verdict = compare(says(lambda prompt: "[[A]]" if four_first(prompt) else "[[tie]]"))
    assert (verdict.winner, verdict.orders) == ("tie", ["A", "tie"])


def test_an_unreadable_verdict_is_an_error_and_not_a_tie() -> None:
    verdict = compare(says(lambda prompt: "hm" if four_first(prompt) else "[[B]]"))
    assert (verdict.winner, verdict.orders) == (None, [None, "A"])
    assert verdict.error.startswith("with A first: no preference in the judge's verdict 'hm'")
    assert verdict.usage.calls == 2


def test_a_failing_model_is_an_error_of_the_pair() -> None:
    def fails(request: Any) -> Any:
        raise ValueError("boom")

    verdict = compare(ScriptedLM(fails))
    assert verdict.winner is None
    assert verdict.error.count("boom") == 2


def test_one_order_can_be_asked_alone() -> None:
    lm = says(lambda prompt: "[[A]]")
    verdict = compare(lm, both_orders=False)
    assert (verdict.winner, verdict.orders, len(lm.requests)) == ("A", ["A"], 1)


def test_ratings_are_another_form_of_verdict() -> None:
    verdict = compare(says(lambda prompt: "8 3" if four_first(prompt) else "5 5"), form="ratings")
    assert (verdict.winner, verdict.orders) == ("tie", ["A", "tie"])


def test_awaiting_equals_calling() -> None:
    judge = PairwiseJudge("question -> answer", says(likes_four))
    awaited = asyncio.run(judge.acall(inputs=QUESTION, a="four", b="five"))
    assert awaited.toDict() == judge(inputs=QUESTION, a="four", b="five").toDict()


def test_a_bank_replays_verdicts(tmp_path: Path) -> None:
    lm = says(likes_four)
    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
    first, second = compare(lm, bank=bank), compare(lm, bank=bank)
    assert len(lm.requests) == 2
    assert first.toDict() == second.toDict()


def test_whole_predictions_are_compared_where_a_task_has_several_outputs() -> None:
    lm = says(likes_four)
    judge = PairwiseJudge("question -> reasoning, answer", lm)
    a, b = dspy.Prediction(reasoning="r", answer="four"), dspy.Prediction(reasoning="r", answer="five")
    assert judge(inputs=QUESTION, a=a, b=b).winner == "A"
    with pytest.raises(
        ConfigurationError, match=r"outputs \['reasoning', 'answer'\]; give answers as dspy.Prediction, not 'four'"
    ):
        judge(inputs=QUESTION, a="four", b=b)


def test_the_prompt_is_found_saved_and_copied(tmp_path: Path) -> None:
    judge = PairwiseJudge("question -> answer")
    judge.judge.signature = judge.judge.signature.with_instructions("Tuned.")
    judge.save(tmp_path / "judge.json")
    loaded = PairwiseJudge("question -> answer")
    loaded.load(tmp_path / "judge.json")
    assert loaded.judge.signature.instructions == judge.deepcopy().judge.signature.instructions == "Tuned."


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="form must be 'letter' or 'ratings', but got form='stars'"):
        PairwiseJudge("question -> answer", form="stars")
