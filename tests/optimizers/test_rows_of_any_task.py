"""Rows of any task: the prompt is what the program sends, and the answer is one that it reads; no torch is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import dspy
import pydantic
import pytest
from conftest import ScriptedLM, system_of

from dspy_fusion.optimizers.finetuning import (
    OBJECTIVES,
    FusorReferences,
    GivenProposals,
    GoldReferences,
    SampledProposals,
)
from dspy_fusion.optimizers.finetuning.aggregation_rows import RowWriter
from dspy_fusion.optimizers.finetuning.gathering import Gathering
from dspy_fusion.programs import ConfigurationError, Fusion, LMJudge, PlainAdapter, ProposeAggregate
from dspy_fusion.programs.pools.candidates import Candidate


class Place(pydantic.BaseModel):
    name: str
    size: int


class Typed(dspy.Signature):
    """Say where it is."""

    text: str = dspy.InputField()
    hint: str = dspy.InputField()
    place: Place = dspy.OutputField()
    tags: list[str] = dspy.OutputField()
    kind: Literal["a", "b"] = dspy.OutputField()
    sure: bool = dspy.OutputField()


TYPED = {"place": {"name": "Ulm", "size": 3}, "tags": ["x", "y"], "kind": "b", "sure": True}
INPUTS = {"text": "t", "hint": "h"}
ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()]


def sent(program: dspy.Module, adapter: dspy.Adapter, inputs: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The messages of all requests of a call, as they go to a server."""
    text = adapter.format_assistant_message_content(program.signature, {**TYPED, "reasoning": "because"})
    lm = ScriptedLM(lambda request: text)
    with dspy.context(lm=lm, adapter=adapter):
        program(**inputs)
    return [
        [{"role": "system", "content": system_of(request)}]
        + [{"role": message.role, "content": message.text} for message in request.messages]
        for request in lm.requests
    ]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
@pytest.mark.parametrize("task", [dspy.Predict(Typed), dspy.ChainOfThought(Typed)], ids=["Predict", "ChainOfThought"])
@pytest.mark.parametrize("kind", [Fusion, ProposeAggregate])
def test_the_prompt_in_training_is_the_prompt_in_serving(kind: Any, task: Any, adapter: dspy.Adapter) -> None:
    program = kind(task, **({"n": 1} if kind is Fusion else {"width": 1, "depth": 1}))
    proposal, aggregation = sent(program, adapter, INPUTS)
    outputs: dict[str, Any] = {**TYPED, "reasoning": "because"}
    with dspy.context(adapter=adapter):
        writer = RowWriter(program)
        shown = [Candidate(0, dspy.Prediction(**{name: outputs[name] for name in program.signature.output_fields}))]
        assert list(writer.aggregating(INPUTS, shown, outputs).prompt) == aggregation
        assert list(writer.solving(INPUTS, outputs).prompt) == proposal


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
def test_the_answer_is_read_back_as_it_is(adapter: dspy.Adapter) -> None:
    program = Fusion(dspy.Predict(Typed), n=1)
    with dspy.context(adapter=adapter):
        row = RowWriter(program).solving(INPUTS, TYPED)
        read = adapter.parse(program.signature, row.completion)
    assert (read["place"], read["tags"], read["kind"], read["sure"]) == (
        Place(name="Ulm", size=3),
        ["x", "y"],
        "b",
        True,
    )


def test_an_answer_that_the_program_would_read_otherwise_is_refused() -> None:
    writer = RowWriter(Fusion(dspy.Predict("question -> answer"), n=1))
    with pytest.raises(ConfigurationError, match="the program reads the answer to be learned in 'answer'"):
        writer.solving({"question": "q"}, {"answer": "one\n[[ ## completed ## ]]\ntwo"})


COT = [
    dspy.Example(
        question=f"q{i}",
        answer=f"a{i}",
        proposals=[{"reasoning": "bad", "answer": "no"}, {"reasoning": f"think {i}", "answer": f"A{i} "}][
            : 2 - (i == 3)
        ],
    ).with_inputs("question")
    for i in range(4)
]


def gathering(folder: Path, references: Any, proposals: Any = None, objective: str = "aft") -> Gathering:
    fusing = Fusion(dspy.ChainOfThought("question -> answer"), n=2)
    made = Gathering(
        fusing, proposals or GivenProposals(), references, OBJECTIVES[objective], folder, 2, 0.0, lambda progress: None
    )
    made.check(COT)
    return made


def test_the_reasoning_of_a_right_proposal_is_learned(tmp_path: Path) -> None:
    made = gathering(tmp_path, GoldReferences())
    outputs = [dict(material.outputs) for material in made.collect(COT)]
    assert outputs == [{"reasoning": f"think {i}", "answer": f"a{i}"} for i in range(3)]
    assert made.unexplained == 1


def test_no_reasoning_is_learned_where_it_is_left_out(tmp_path: Path) -> None:
    made = gathering(tmp_path, GoldReferences(reasoning="leave_out"))
    (first, *_) = made.collect(COT)
    row = RowWriter(made.fusing).solving({"question": "q0"}, first.outputs)
    assert row.completion.startswith("[[ ## reasoning ## ]]\n\n\n[[ ## answer ## ]]\na0")


def test_a_stronger_model_reasons_where_it_comes_to_the_answer(tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: {"comparison": "c", "reasoning": "strong", "answer": "a2"})
    made = gathering(tmp_path, GoldReferences(reasoning=FusorReferences(lm)))
    assert [(m.outputs["reasoning"], m.outputs["answer"]) for m in made.collect(COT)] == [("strong", "a2")]
    assert made.unexplained == 3


def test_proposals_may_be_texts_where_no_example_has_a_reasoning(tmp_path: Path) -> None:
    examples = [dspy.Example(question="q", answer="a", proposals=["a", "b"]).with_inputs("question")]
    made = gathering(tmp_path, GoldReferences(reasoning="leave_out"))
    made.check(examples)
    (material,) = made.collect(examples)
    assert {dict(c.prediction)["answer"] for c in material.shown} == {"a", "b"}


def test_nothing_that_could_be_learned_is_an_error(tmp_path: Path) -> None:
    examples = [dspy.Example(question="q", answer="a", proposals=["b"]).with_inputs("question")]
    made = gathering(tmp_path, GoldReferences())
    with pytest.raises(ConfigurationError, match=r"none of 1 examples has a reasoning.*leave_out"):
        list(made.collect(examples))


def test_the_best_of_the_given_proposals_are_kept(tmp_path: Path) -> None:
    dspy.configure(adapter=PlainAdapter())
    examples = [
        dspy.Example(question="q", answer="a", proposals=[*"abcdefghi"], scores=[*range(9)]).with_inputs("question")
    ]
    fusing = Fusion(dspy.Predict("question -> answer"), n=2, shuffle=False)
    kept = GivenProposals(scores="scores", keep=5)
    made = Gathering(fusing, kept, GoldReferences(), OBJECTIVES["aft"], tmp_path, 2, 0.0, lambda progress: None)
    (material,) = made.collect(examples)
    assert [dict(c.prediction)["answer"] for c in material.shown] == [*"ihgfe"]
    by_code = GivenProposals(keep=2, scorer=lambda arguments, answer: float(answer.answer == "c"))
    assert by_code.of(examples[0], fusing.program, fusing.signature)[0].outputs == {"answer": "c"}


def identity(**changes: Any) -> Any:
    judge = LMJudge(ScriptedLM(lambda request: "1", **changes), rubric="r")
    return SampledProposals(ScriptedLM(lambda request: "a"), scorer=judge).about()


def test_another_scorer_judge_or_option_is_another_file() -> None:
    assert identity() == identity()
    assert identity() != identity(temperature=0.3)
    assert identity() != identity(name="other/model")
    one, two = (
        SampledProposals(ScriptedLM(lambda r: "a"), scorer=s).about() for s in (lambda a, p: 1.0, lambda a, p: 0.5)
    )
    assert one != two
    lms = [ScriptedLM(lambda request: "a", top_p=top_p) for top_p in (0.5, 0.9)]
    assert len({str(FusorReferences(lm).about()) for lm in lms}) == 2


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (
            dspy.Example(question="q", answer="a"),
            "example 1 of the training set has no inputs; name them",
        ),
        (dspy.Example(other="q", answer="a").with_inputs("other"), "lacks the task's input 'question'"),
    ],
)
def test_examples_without_inputs_are_named(tmp_path: Path, example: dspy.Example, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        gathering(tmp_path, GoldReferences()).check([COT[0], example])
