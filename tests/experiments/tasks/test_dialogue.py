from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of

from dspy_fusion.experiments.tasks.mt_bench import Dialogue
from dspy_fusion.programs import Fusion, Vote

ASKED = {"question_1": "Who wrote it?", "question_2": "And when?"}


def turns(request: Any) -> Any:
    """Answers by what was said before; a fusor writes both answers at once."""
    prompt = prompt_of(request)
    if "candidates ## ]]" in prompt:
        return {"answer_1": "fused first", "answer_2": "fused second"}
    said = [message.text for message in request.messages[:-1]]
    before = any("Someone" in (text or "") for text in said)
    return {
        "answer": "In 1605, as Someone did" if before and "when" in prompt else f"Someone{request.config.seed or ''}"
    }


def test_the_second_turn_is_asked_with_the_first_as_history() -> None:
    lm = ScriptedLM(turns)
    with dspy.context(lm=lm):
        prediction = Dialogue()(**ASKED)
    assert (prediction.answer_1, prediction.answer_2) == ("Someone", "In 1605, as Someone did")
    assert [len(request.messages) for request in lm.requests] == [1, 3]


def test_awaiting_equals_calling() -> None:
    with dspy.context(lm=ScriptedLM(turns)):
        assert asyncio.run(Dialogue().acall(**ASKED)).toDict() == Dialogue()(**ASKED).toDict()


def test_the_instructions_are_told_in_both_turns() -> None:
    lm = ScriptedLM(turns)
    with dspy.context(lm=lm):
        Dialogue("Answer in one word.")(**ASKED)
    assert all("Answer in one word." in system_of(request) for request in lm.requests)


@pytest.mark.parametrize("kind", [Fusion, Vote])
def test_a_dialogue_can_be_wrapped_like_any_task(kind: Any) -> None:
    with dspy.context(lm=ScriptedLM(turns)):
        prediction = kind(Dialogue(), n=3)(**ASKED)
    assert list(prediction.keys()) == ["answer_1", "answer_2"]
    assert [c.prediction.answer_1 for c in prediction.pool.candidates] == ["Someone", "Someone1", "Someone2"]
    assert prediction.pool.usage["candidates"].calls == 6
