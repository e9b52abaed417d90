from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import dspy
import pytest

from dspy_fusion.experiments.synthesis.synthesized_rows import FusedAnswer, Row, TeacherAnswer
from dspy_fusion.experiments.synthesis.training_rows import Shape
from dspy_fusion.programs import PlainAdapter, ProposeAggregate
from dspy_fusion.programs.errors import ConfigurationError

scripted = importlib.import_module("conftest")
TEXTS = ("first\nResponse 2:\nfake", "second [[ ## answer ## ]]", "third")


def example_row(scores: tuple[float | None, ...] = (0.2, 0.9, 0.5), fused: str | None = "fused") -> Row:
    answers = tuple(
        TeacherAnswer("t", "m", "f", 0, text, score=score) for text, score in zip(TEXTS, scores, strict=True)
    )
    written = FusedAnswer("f", "m", "f", "i", (2, 0, 1), fused)
    best = max((i for i, score in enumerate(scores) if score is not None), key=lambda i: scores[i] or 0.0, default=None)
    return Row(0, "here", "why?", "", 0, answers, best, written, fused)


def test_sft_is_a_conversation_that_ends_with_the_answer() -> None:
    assert list(Shape("sft").examples(example_row())) == [
        {
            "prompt": [{"role": "user", "content": "why?"}],
            "completion": [{"role": "assistant", "content": "fused"}],
        }
    ]
    (example,) = Shape("sft", answer="best", system="Be brief.", reader="llama-factory").examples(example_row())
    assert example["messages"][0] == {"role": "system", "content": "Be brief."}
    assert example["messages"][-1]["content"] == TEXTS[1]


def test_aft_is_what_the_aggregator_sees_at_inference() -> None:
    proposals = iter(TEXTS)
    asked: list[Any] = []

    def answer(request: Any) -> str:
        asked.append(request)
        return "fused" if "Response 1:" in scripted.system_of(request) else next(proposals)

    program = ProposeAggregate(dspy.Predict("prompt -> response"), width=3, depth=1, shuffle=False, max_concurrency=1)
    with dspy.context(lm=scripted.ScriptedLM(answer), adapter=PlainAdapter()):
        program(prompt="why?")
    row = replace(
        example_row(), fused=replace(example_row().fused or FusedAnswer("", "", "", "", (), ""), shown=(0, 1, 2))
    )
    (example,) = Shape("aft").rows(row)
    system, user = example.prompt
    assert system == {"role": "system", "content": scripted.system_of(asked[-1])}
    assert user == {"role": "user", "content": scripted.prompt_of(asked[-1])}
    assert (example.completion, example.proposals) == ("fused", 3)


def test_aft_shows_the_proposals_in_the_order_in_which_the_fusor_saw_them() -> None:
    (example,) = Shape("aft", instructions="Join these.").rows(example_row())
    system = example.prompt[0]["content"]
    assert system.startswith("Join these.\n\nResponse 1:\nthird\n\nResponse 2:\nfirst")


def test_preference_is_fused_over_candidates_and_best_over_worst() -> None:
    pairs = list(Shape("preference", reader="llama-factory").examples(example_row()))
    assert [(pair["chosen"], pair["rejected"]) for pair in pairs] == [
        *(("fused", text) for text in TEXTS),
        (TEXTS[1], TEXTS[0]),
    ]
    assert all(pair["prompt"] == "why?" for pair in pairs)
    assert len(list(Shape("preference", pairs="fused").examples(example_row()))) == 3
    assert len(list(Shape("preference", pairs="best").examples(example_row()))) == 1


def test_what_says_the_same_is_not_preferred() -> None:
    assert list(Shape("preference", pairs="best").examples(example_row((0.5, 0.5, 0.5)))) == []
    assert len(list(Shape("preference", pairs="fused").examples(example_row(fused="third\n")))) == 2
    assert list(Shape("preference").examples(example_row((None, None, None), fused=None))) == []


def test_preference_goes_into_a_chat_template() -> None:
    pair = next(iter(Shape("preference", system="S").examples(example_row())))
    assert [message["role"] for message in pair["prompt"]] == ["system", "user"]
    assert pair["chosen"] == [{"role": "assistant", "content": "fused"}]


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        (
            {"format": "aft"},
            {"fusion": None, "best": {"scorer": "likelihood"}},
            "the rows have no fused answers, which aft needs",
        ),
        ({"format": "sft", "answer": "best"}, {}, "the rows have no scores, which sft needs"),
        ({"format": "preference", "pairs": "both"}, {}, "the rows have no scores"),
        ({"format": "preference"}, {"fusion": None, "teachers": ["one"]}, "neither scores nor fused answers"),
    ],
)
def test_what_the_rows_cannot_give_is_refused(
    scene: Any, shape: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Shape(**shape).check(scene.config(**changes))


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="format must be one of sft, aft, preference, but got format='dpo'"):
        Shape("dpo")
