"""Our programs under ``dspy.streamify``: the fusor's tokens, and the status messages of everything within."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from anyio import create_memory_object_stream
from conftest import ScriptedLM, answers
from dspy.streaming.messages import StatusStreamingCallback

from dspy_fusion.programs import BestOfN, Fusion, ProposeAggregate, Vote


def look_up(word: str) -> str:
    """Looks a word up."""
    return f"about {word}"


class Asking(dspy.Module):
    """Asks a tool before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.tool, self.answer = dspy.Tool(look_up), dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        self.tool(word=question)
        return self.answer(question=question)


class Awaiting(Asking):
    async def aforward(self, question: str) -> dspy.Prediction:
        self.tool(word=question)
        return await self.answer.acall(question=question)


def streamed(program: dspy.Module, **options: Any) -> list[Any]:
    async def collect() -> list[Any]:
        return [item async for item in dspy.streamify(program, **options)(question="q")]

    with dspy.context(lm=ScriptedLM(answers("one", "two", fused="the fused answer"))):
        return asyncio.run(collect())


def statuses(items: list[Any]) -> int:
    return sum(isinstance(item, dspy.streaming.StatusMessage) and "look_up" in item.message for item in items)


def tokens(items: list[Any]) -> str:
    return "".join(item.chunk for item in items if isinstance(item, dspy.streaming.StreamResponse)).strip()


PROGRAMS: dict[str, tuple[Any, int]] = {
    "Fusion of one": (lambda inner: Fusion(inner, n=1), 1),
    "Fusion": (lambda inner: Fusion(inner, n=20), 20),
    "ProposeAggregate": (lambda inner: ProposeAggregate(inner, width=2, depth=2), 2),
    "Vote": (lambda inner: Vote(inner, n=3), 3),
    "BestOfN": (lambda inner: BestOfN(inner, n=2, scorer=lambda inputs, prediction: 1.0), 2),
    "a deadline": (lambda inner: Fusion(inner, n=1, deadline_seconds=30), 1),
    "one in another": (lambda inner: Fusion(Vote(inner, n=3), n=2), 6),
    "one in one": (lambda inner: Fusion(Vote(inner, n=3), n=1), 3),
}


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("inner", [Asking, Awaiting])
@pytest.mark.parametrize("case", PROGRAMS)
def test_status_messages_of_tools_get_through(case: str, inner: Any, awaited: bool) -> None:
    build, count = PROGRAMS[case]
    items = streamed(build(inner()), is_async_program=awaited)
    assert statuses(items) == count
    assert isinstance(items[-1], dspy.Prediction)


@pytest.mark.parametrize("kind", [Fusion, ProposeAggregate])
def test_a_listener_finds_who_writes_the_answer(kind: Any) -> None:
    program = kind(dspy.Predict("question -> answer"))
    items = streamed(program, stream_listeners=[dspy.streaming.StreamListener("answer")])
    assert tokens(items) == "the fused answer"
    assert [name for name, _ in program.named_predictors()] == ["program", "fusor"]


def test_a_listener_of_the_comparison_finds_it() -> None:
    with dspy.context(lm=ScriptedLM(lambda request: {"comparison": "they differ", "answer": "a"})):
        program = Fusion(dspy.Predict("question -> answer"), n=2)
        listener = dspy.streaming.StreamListener("comparison")

        async def collect() -> list[Any]:
            return [item async for item in dspy.streamify(program, stream_listeners=[listener])(question="q")]

        assert tokens(asyncio.run(collect())) == "they differ"


class Unending(Asking):
    async def aforward(self, question: str) -> dspy.Prediction:
        self.tool(word=question)
        return await asyncio.get_running_loop().create_future()


def test_who_is_cancelled_does_not_wait_for_whoever_takes_no_messages_any_more() -> None:
    async def cancelled() -> bool:
        stream, _unread = create_memory_object_stream[Any](0)
        callback = StatusStreamingCallback(dspy.streaming.StatusMessageProvider())
        with dspy.context(send_stream=stream, callbacks=[callback]):
            task = asyncio.create_task(Vote(Unending(), n=2).acall(question="q"))
        while not stream.statistics().tasks_waiting_send:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task], timeout=30)
        return task.cancelled()

    assert asyncio.run(asyncio.wait_for(cancelled(), 60))
