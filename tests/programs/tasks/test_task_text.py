"""The fusor is told the task: whose words, as they are when, and in which language."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of

from dspy_fusion.programs import BestOfN, Fusion, LMJudge, PlainAdapter, ProposeAggregate, Vote

POLICY = "Refunds go to 'other', never 'billing'."


class Pipeline(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict(dspy.Signature("question -> draft", "Draft it."))
        self.finish = dspy.Predict(dspy.Signature("draft -> answer", "Answer in French."))

    def forward(self, question: str) -> dspy.Prediction:
        return self.finish(draft=self.draft(question=question).draft)


class Plain(dspy.Module):
    """A task program without predictors."""

    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer=question)


def shown_task(program: dspy.Module, **inputs: Any) -> str:
    """What the fusor's field ``task`` holds."""
    lm = ScriptedLM(lambda request: {"answer": "a", "draft": "d", "reasoning": "r"})
    with dspy.context(lm=lm):
        program(**(inputs or {"question": "q"}))
    return prompt_of(lm.requests[-1]).split("[[ ## task ## ]]\n")[1].split("\n\n[[ ##")[0]


def test_a_compiled_instruction_flows_in_when_the_fusor_is_called() -> None:
    program = Fusion(dspy.ChainOfThought(dspy.Signature("question -> answer", POLICY)), n=2)
    assert shown_task(program) == POLICY
    before = program.fusor.signature
    (predictor,) = program.program.predictors()
    predictor.signature = predictor.signature.with_instructions("Compiled.")
    assert shown_task(program) == "Compiled."
    assert program.fusor.signature.equals(before)


def test_a_pipelines_steps_are_told_in_order_or_the_given_signature_first() -> None:
    assert shown_task(Fusion(Pipeline(), n=2, signature="question -> answer")) == "Draft it.\n\nAnswer in French."
    given = dspy.Signature("question -> answer", POLICY)
    assert shown_task(Fusion(Pipeline(), n=2, signature=given)) == f"{POLICY}\n\nAnswer in French."


def test_a_program_without_predictors_has_its_signatures_instructions() -> None:
    assert shown_task(Fusion(Plain(), n=2, signature=dspy.Signature("question -> answer", POLICY))) == POLICY


def test_an_agents_protocol_is_not_told() -> None:
    def done() -> str:
        """Does nothing."""
        return "done"

    agent = dspy.ReAct(dspy.Signature("question -> answer", POLICY), tools=[done])
    told = Fusion(agent, n=2).task_text()
    assert told == POLICY


def test_what_fusors_and_judges_inside_are_told_is_not_the_task() -> None:
    inner = BestOfN(dspy.Predict(dspy.Signature("question -> answer", POLICY)), n=2, scorer=LMJudge())
    assert ProposeAggregate(Fusion(inner, n=2)).task_text() == POLICY
    assert Vote(inner).task_text() == POLICY


def test_what_nobody_wrote_is_left_out_of_plain_text() -> None:
    lm = ScriptedLM(lambda request: "a")
    with dspy.context(lm=lm, adapter=PlainAdapter()):
        Fusion(dspy.Predict("question -> answer"), n=1, instructions="Fuse.")(question="q")
        Fusion(dspy.Predict(dspy.Signature("question -> answer", POLICY)), n=1, instructions="Fuse.")(question="q")
    assert system_of(lm.requests[1]) == "Fuse.\n\nResponse 1:\na"
    assert system_of(lm.requests[3]) == f"{POLICY}\n\nFuse.\n\nResponse 1:\na"


def test_the_fusing_text_is_tuned_apart_from_the_task() -> None:
    program = Fusion(dspy.Predict(dspy.Signature("question -> answer", POLICY)), n=2)
    program.fusor.signature = program.fusor.signature.with_instructions("Join them.")
    assert shown_task(program) == POLICY
    assert program.program.signature.instructions == POLICY


GERMAN = "Wie viele Äpfel hat Anna noch, wenn sie drei von ihren zwölf Äpfeln an die Kinder im Garten verteilt?"


@pytest.mark.parametrize("make", [Fusion, ProposeAggregate])
def test_the_answers_language_is_said_where_it_is_not_english(make: Any) -> None:
    program = make(dspy.Predict(dspy.Signature("question -> answer", POLICY)))
    said = "answer in German, the language of the input"
    assert said in shown_task(program, question=GERMAN)
    assert "language" not in shown_task(program, question="How many apples does Anna have left, if any, of the twelve?")
    assert "language" not in shown_task(program, question="Wie viele?")


def test_a_fusor_written_by_hand_is_told_the_task_where_it_takes_it() -> None:
    class Longest(dspy.Module):
        def forward(self, question: str, candidates: list[str], task: str = "untold") -> dspy.Prediction:
            return dspy.Prediction(answer=f"{max(candidates, key=len)} ({task})")

    class Silent(dspy.Module):
        def forward(self, question: str, candidates: list[str]) -> dspy.Prediction:
            return dspy.Prediction(answer=candidates[0], comparison="all alike")

    task = dspy.Predict(dspy.Signature("question -> answer", POLICY))
    with dspy.context(lm=ScriptedLM(lambda request: {"answer": "a"})):
        assert Fusion(task, n=2, fusor=Longest())(question="q").answer == f"a ({POLICY})"
        prediction = Fusion(task, n=2, fusor=Silent())(question="q")
        assert (prediction.toDict(), prediction.pool.comparison) == ({"answer": "a"}, "all alike")
        written = Fusion(task, n=2, fusor=dspy.ChainOfThought("question, candidates: list[str] -> answer"))
        assert written(question="q").pool.fallback is not None  # the scripted answer has no reasoning
