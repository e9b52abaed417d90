"""The fusor compares first, where it is to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of

from dspy_fusion.optimizers.tuning.search_space import SearchSpace
from dspy_fusion.programs import CandidateBank, Fusion, PlainAdapter, ProposeAggregate

TASK = dspy.Signature("question -> answer", "Be brief.")


def answer(request: Any) -> dict[str, str]:
    asked = "[[ ## comparison ## ]]" in prompt_of(request)
    fused = {"answer": "both", "reasoning": "so", **({"comparison": "the first is longer"} if asked else {})}
    return fused if is_fusor(request) else {"answer": "one", "reasoning": "thus"}


def test_a_fusion_keeps_the_comparison_on_the_pool_and_not_on_the_answer() -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        program = Fusion(dspy.ChainOfThought(TASK), n=2)
        prediction, awaited = program(question="q"), asyncio.run(program.acall(question="q"))
    assert prediction.toDict() == {"reasoning": "so", "answer": "both"}
    assert prediction.pool.comparison == awaited.pool.comparison == "the first is longer"
    order = [
        prompt_of(lm.requests[-1]).index(f"`[[ ## {name} ## ]]`") for name in ("comparison", "reasoning", "answer")
    ]
    assert order == sorted(order)


def test_a_typed_task_is_compared_in_words() -> None:
    typed = dspy.Signature({"question": (str, dspy.InputField()), "kind": (Literal["x", "y"], dspy.OutputField())})
    lm = ScriptedLM(lambda r: {"kind": "x", **({"comparison": "alike"} if is_fusor(r) else {})})
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict(typed), n=2)(question="q")
    assert (prediction.kind, prediction.pool.comparison) == ("x", "alike")


def test_an_answer_without_a_comparison_is_an_answer() -> None:
    lm = ScriptedLM(lambda request: {"answer": "both" if is_fusor(request) else "one"})
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict(TASK), n=2)(question="q")
    assert (prediction.answer, prediction.pool.comparison, prediction.pool.fallback) == ("both", None, None)
    assert len(lm.requests) == 3


@pytest.mark.parametrize(
    ("make", "compares"),
    [
        (Fusion, True),
        (lambda p: Fusion(p, compare=False), False),
        (ProposeAggregate, False),
        (lambda p: ProposeAggregate(p, compare=True), True),
    ],
)
def test_who_compares(make: Any, compares: bool) -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        pool = make(dspy.Predict(TASK))(question="q").pool
    assert pool.comparison == ("the first is longer" if compares else None)
    assert all(("comparison" in system_of(r)) == compares for r in lm.requests if is_fusor(r))


@pytest.mark.parametrize("compare", [True, False])
def test_it_is_a_choice_that_can_be_tuned_saved_and_traced(compare: bool, tmp_path: Path) -> None:
    program = Fusion(dspy.Predict(TASK), n=2, compare=compare)
    assert [d.choices for d in SearchSpace.of(program).dimensions if d.name == "compare"] == [(True, False)]
    own = program.fusor.signature
    program.compare.value = not compare
    program.save(tmp_path / "program.json")
    loaded = Fusion(dspy.Predict(TASK), n=2, compare=compare)
    loaded.load(tmp_path / "program.json")
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm, trace=[]):
        pool = loaded(question="q").pool
        assert dspy.settings.trace[-1][0] is loaded.fusor
    assert (pool.comparison is None) == compare
    assert loaded.fusor.signature.equals(own)


def test_a_bank_replays_the_comparison_and_tells_the_choices_apart(tmp_path: Path) -> None:
    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        program = Fusion(dspy.Predict(TASK), n=2, bank=bank)
        first, second = program(question="q").pool, program(question="q").pool
        assert len(lm.requests) == 3
        assert first.comparison == second.comparison == "the first is longer"
        program.compare.value = False
        assert program(question="q").pool.comparison is None
    assert len(lm.requests) == 4


def test_plain_text_has_no_comparison() -> None:
    lm = ScriptedLM(lambda request: "both")
    with dspy.context(lm=lm, adapter=PlainAdapter()):
        prediction = Fusion(dspy.Predict(TASK), n=2)(question="q")
    assert (prediction.answer, prediction.pool.comparison, prediction.pool.fallback) == ("both", None, None)
    assert "omparison" not in system_of(lm.requests[-1])


@pytest.mark.parametrize("compare", [True, False])
def test_the_answer_still_streams(compare: bool) -> None:
    program = Fusion(dspy.Predict(TASK), n=2)
    program.compare.value = compare
    listener = dspy.streaming.StreamListener("answer", predict=program.fusor, predict_name="fusor")
    streamed = dspy.streamify(program, stream_listeners=[listener], is_async_program=False)

    async def collect() -> list[Any]:
        return [chunk async for chunk in streamed(question="q")]

    with dspy.context(lm=ScriptedLM(answer)):
        chunks = asyncio.run(collect())
    assert "".join(c.chunk for c in chunks if isinstance(c, dspy.streaming.StreamResponse)).strip() == "both"
    assert chunks[-1].answer == "both"
