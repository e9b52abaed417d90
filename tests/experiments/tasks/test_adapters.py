from __future__ import annotations

import dspy
import pytest
from conftest import ScriptedLM, system_of

from dspy_fusion.experiments.own_tasks.adapters import spoken
from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.programs.errors import ConfigurationError

EXAMPLE = dspy.Example(id="gsm8k-0", question="What is 9 + 9?", answer="18").with_inputs("question")


def test_tasks_are_asked_in_chat_with_reasoning_before_the_answer() -> None:
    task = load_task("gsm8k")
    lm = ScriptedLM(lambda request: {"reasoning": "9 + 9 = 18", "answer": "18"})
    with dspy.context(lm=lm, adapter=task.adapter()):
        answer = task.program(task.instructions)(**EXAMPLE.inputs())
    assert (task.metric(EXAMPLE, answer), task.answer_text(answer.toDict())) == (1, "9 + 9 = 18\n\nAnswer: 18")


def test_plain_models_answer_in_their_own_words() -> None:
    task = spoken(load_task("gsm8k"), "plain")
    lm = ScriptedLM(lambda request: "Nine and nine.\n9 + 9 = 18")
    with dspy.context(lm=lm, adapter=task.adapter()):
        answer = task.program("Solve it.")(**EXAMPLE.inputs())
    assert (list(answer.keys()), task.metric(EXAMPLE, answer)) == (["answer"], 1)
    assert system_of(lm.requests[0]) == "Solve it."


def test_the_tasks_own_adapter_is_the_default() -> None:
    task = load_task("worksheets")
    assert spoken(task, "") is task
    assert spoken(task, "json").adapter is dspy.JSONAdapter


def test_unknown_adapters_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no adapter 'xml'; there are: chat, json, plain"):
        spoken(load_task("gsm8k"), "xml")
