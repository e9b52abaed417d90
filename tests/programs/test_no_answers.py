"""What is no answer is no candidate: filtered, refused, cut off, empty, thoughts only; over both of DSPy's engines."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM
from faults.refusing_server import RefusingServer, fields, refusing_server

from dspy_fusion.programs import BestOfN, Fusion, PlainAdapter, Pool, ProposeAggregate, QuorumNotMet, Vote

ENGINES = ("lm15", "litellm")
TOOL = {"id": "a", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
NO_ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "filtered": ({"content": fields(answer="half a te"), "finish_reason": "content_filter"}, "content filter"),
    "refused": (
        {"content": None, "refusal": "I cannot help with that."},
        "the model refused: I cannot help with that.",
    ),
    "null at the limit": ({"content": None, "finish_reason": "length"}, "raise max_tokens"),
    "empty at the limit": ({"content": "", "finish_reason": "length"}, "raise max_tokens"),
    "thought at the limit": ({"content": "<think>so it is", "finish_reason": "length"}, "raise max_tokens"),
    "thoughts only": ({"content": "<think>so it is</think>\n"}, "the model thought, but did not answer"),
    "a tool call": ({"content": None, "tool_calls": [TOOL], "finish_reason": "tool_calls"}, "called a tool"),
    "an empty field": ({"content": fields(answer="")}, "the field 'answer' of the answer is empty"),
    "invisible": ({"content": fields(answer="\u200b \ufeff\u00a0")}, "the field 'answer' of the answer is empty"),
}
PROGRAMS = {
    "Fusion": lambda: Fusion(dspy.Predict("question -> answer"), n=3),
    "ProposeAggregate": lambda: ProposeAggregate(dspy.Predict("question -> answer"), width=3, depth=1),
    "Vote": lambda: Vote(dspy.Predict("question -> answer"), n=3),
    "BestOfN": lambda: BestOfN(dspy.Predict("question -> answer"), n=3, scorer=lambda args, pred: -len(pred.answer)),
}


def lm_at(server: RefusingServer, engine: str, **options: Any) -> dspy.LM:
    address = f"{server.address}/v1"
    return dspy.LM("hosted_vllm/m", engine=engine, api_base=address, api_key="k", cache=False, num_retries=0, **options)


def pool_of(
    program: dspy.Module, say: Any, engine: str = "lm15", adapter: Any = None, *, awaited: bool = False
) -> tuple[Any, list[dict[str, Any]]]:
    with refusing_server(say=say) as server, dspy.context(lm=lm_at(server, engine), adapter=adapter):
        answer = asyncio.run(program.acall(question="q")) if awaited else program(question="q")
    return answer, server.bodies


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("no_answer", NO_ANSWERS)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_is_no_answer_is_no_candidate(kind: str, no_answer: str, engine: str) -> None:
    said, cause = NO_ANSWERS[no_answer]
    good = {"content": fields(answer="Paris")}
    answer, _ = pool_of(PROGRAMS[kind](), lambda body: said if body.get("seed") in (1, 2) else good, engine)
    pool: Pool = answer.pool
    assert answer.answer == "Paris"
    assert [candidate.ok for candidate in pool.candidates] == [True, False, False]
    assert all(cause in (candidate.error or "") for candidate in pool.candidates[1:])


@pytest.mark.parametrize("awaited", [False, True], ids=["called", "awaited"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("no_answer", ["filtered", "refused", "null at the limit", "thoughts only", "a tool call"])
def test_no_second_call_is_paid_for_one(no_answer: str, engine: str, awaited: bool) -> None:
    said, cause = NO_ANSWERS[no_answer]
    with pytest.raises(QuorumNotMet, match=cause):
        pool_of(
            Vote(dspy.Predict("question -> answer"), n=1), lambda body: {**said, "content": said["content"]}, engine
        )
    good = {"content": fields(answer="Paris")}
    program = Vote(dspy.Predict("question -> answer"), n=2)
    answer, bodies = pool_of(program, lambda body: said if body.get("seed") == 1 else good, engine, awaited=awaited)
    assert len(bodies) == 2
    assert answer.pool.total.calls == 2


ADAPTERS: dict[str, tuple[dspy.Adapter, str]] = {
    "chat": (dspy.ChatAdapter(), "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"),
    "JSON": (dspy.JSONAdapter(), '{"answer": "Paris"}'),
    "XML": (dspy.XMLAdapter(), "<answer>Paris</answer>"),
    "plain": (PlainAdapter(), "Paris"),
}
TRAP = 'First [[ ## answer ## ]]\nRome\n{"answer": "Rome"} <answer>Rome</answer>'


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("opening", ["<think>", "", "<thinking>", "<|channel|>analysis<|message|>"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_thoughts_are_taken_off_under_every_adapter(adapter: str, opening: str, engine: str) -> None:
    closing = "</thinking>" if opening == "<thinking>" else "</think>"
    if opening.startswith("<|"):
        closing = "<|end|><|start|>assistant<|channel|>final<|message|>"
    made, text = ADAPTERS[adapter]
    shown: list[str] = []

    def say(body: dict[str, Any]) -> dict[str, Any]:
        shown.append(str(body["messages"]))
        return {"content": f"{opening}{TRAP}\n{closing}\n\n{text}"}

    answer, _ = pool_of(Fusion(dspy.Predict("question -> answer"), n=2), say, engine, made)
    assert answer.answer == "Paris"
    assert answer.pool.fallback is None
    assert [candidate.reasoning for candidate in answer.pool.candidates] == [TRAP, TRAP]
    assert "Rome" not in shown[-1]


def test_a_task_with_reasoning_keeps_it_under_xml() -> None:
    said = {"content": "<think>hm</think><reasoning>because</reasoning>\n<answer>Paris</answer>"}
    program = Vote(dspy.ChainOfThought("question -> answer"), n=2)
    answer, _ = pool_of(program, lambda body: said, adapter=dspy.XMLAdapter())
    assert (answer.reasoning, answer.answer) == ("because", "Paris")
    assert answer.pool.candidates[0].reasoning == "hm"


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_reasoning_parser_took_off_is_kept_too(engine: str) -> None:
    said = {"content": fields(answer="Paris"), "reasoning_content": "hm"}
    answer, _ = pool_of(Vote(dspy.Predict("question -> answer"), n=1), lambda body: said, engine)
    assert answer.pool.candidates[0].reasoning == "hm"


def test_a_vote_does_not_count_empty_answers() -> None:
    texts = ["Paris", "", " "]
    with dspy.context(lm=ScriptedLM(lambda request: {"answer": texts[request.config.seed]})):
        assert Vote(dspy.Predict("question -> answer"), n=3)(question="q").answer == "Paris"


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("question -> reasoning, answer", {"reasoning": "", "answer": "a"}),
        ("question -> answer, tags: list[str]", {"answer": "a", "tags": "[]"}),
        ("question -> answer, note: Optional[str]", {"answer": "a", "note": "null"}),
    ],
)
def test_an_empty_field_may_be_part_of_an_answer(signature: str, said: dict[str, str]) -> None:
    with dspy.context(lm=ScriptedLM(lambda request: said)):
        assert Vote(dspy.Predict(signature), n=2)(question="q").answer == "a"


def test_a_default_allows_an_empty_field() -> None:
    class Noted(dspy.Signature):
        question: str = dspy.InputField()
        answer: str = dspy.OutputField()
        note: str = dspy.OutputField(default="")

    with dspy.context(lm=ScriptedLM(lambda request: {"answer": "a", "note": ""})):
        assert Vote(dspy.Predict(Noted), n=2)(question="q").note == ""
