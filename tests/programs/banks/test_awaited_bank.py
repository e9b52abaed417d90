"""Tasks of an event loop draw as threads do: each candidate once, and whoever is cancelled is in nobody's way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import pytest
import sqlalchemy as sa
from conftest import AsyncScriptedEngine, ScriptedEngine, ScriptedLM, answers
from sqlalchemy import event

from dspy_fusion.programs import CandidateBank, Vote


def voter(bank: CandidateBank, n: int = 1) -> Vote:
    return Vote(dspy.Predict("question -> answer"), n=n, bank=bank)


def reservations(bank: CandidateBank) -> int:
    with bank.engine.connect() as connection:
        return connection.scalar(sa.text("select count(*) from dspy_fusion_reservations")) or 0


def in_time(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives with two threads for the database, in half a minute at most, whatever it waits for."""

    async def with_few_threads() -> Any:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        return await asyncio.wait_for(work, 30)

    return asyncio.run(with_few_threads())


@pytest.mark.parametrize("shared", [False, True])
def test_tasks_that_ask_at_once_share_one_draw(tmp_path: Path, shared: bool) -> None:
    program, lm = voter(CandidateBank(tmp_path / "bank.db", shared=shared), n=2), ScriptedLM(answers("a"))

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(program.acall(question="q") for _ in range(8)))

    with dspy.context(lm=lm):
        assert [made.answer for made in in_time(at_once())] == ["a"] * 8
    assert len(lm.requests) == 2


class _FirstHangs(AsyncScriptedEngine):
    """Answers to all but the first call, which has no end."""

    def __init__(self, engine: ScriptedEngine) -> None:
        super().__init__(engine)
        self.asked = asyncio.Event()

    async def complete(self, request: Any) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            await asyncio.Event().wait()
        return await super().complete(request)


def test_one_that_is_cancelled_while_it_draws_leaves_the_turn_to_the_next(tmp_path: Path) -> None:
    program, script = voter(CandidateBank(tmp_path / "bank.db", shared=True)), ScriptedEngine(answers("a"))

    async def first_cancelled() -> Any:
        engine = _FirstHangs(script)
        with dspy.context(lm=dspy.LM("scripted/model", engine=script, async_engine=engine, cache=False)):
            first = asyncio.create_task(program.acall(question="q"))
            await engine.asked.wait()
            second = asyncio.create_task(program.acall(question="q"))
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await second

    assert in_time(first_cancelled()).answer == "a"
    assert len(script.requests) == 1


def test_one_that_is_cancelled_while_it_reserves_leaves_no_reservation(tmp_path: Path) -> None:
    bank, lm = CandidateBank(tmp_path / "bank.db", shared=True), ScriptedLM(answers("a"))
    program, at, go_on = voter(bank), threading.Event(), threading.Event()

    def reserving(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO dspy_fusion_reservations"):
            at.set()
            go_on.wait(timeout=30)

    async def cancelled() -> None:
        task = asyncio.create_task(program.acall(question="q"))
        await asyncio.to_thread(at.wait, 30)
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()  # as an event loop does that ends
        for _ in range(20):
            await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with dspy.context(lm=lm):
        program(question="another")
        event.listen(bank.engine, "before_cursor_execute", reserving)
        in_time(cancelled())
        event.remove(bank.engine, "before_cursor_execute", reserving)
        assert reservations(bank) == 0
        assert in_time(program.acall(question="q")).answer == "a"


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_a_call_that_holds_up_the_event_loop_does_not_wait_for_a_task_of_that_loop(
    tmp_path: Path, shared: bool, n: int
) -> None:
    program, script = voter(CandidateBank(tmp_path / "bank.db", shared=shared), n), ScriptedEngine(answers("a"))

    async def both() -> list[str]:
        engine = _FirstHangs(script)
        with dspy.context(lm=dspy.LM("scripted/model", engine=script, async_engine=engine, cache=False)):
            task = asyncio.create_task(program.acall(question="q"))
            await engine.asked.wait()
            called = program(question="q")
            task.cancel()
            return [called.answer]

    ended: list[list[str]] = []
    thread = threading.Thread(target=lambda: ended.append(asyncio.run(both())), daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert ended == [["a"]]
