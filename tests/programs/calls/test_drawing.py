"""What ends the drawing of a batch for all: no further attempt is begun, in threads and in tasks alike."""

from __future__ import annotations

import asyncio
import threading
from itertools import count
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers
from sqlalchemy import event
from waiting import wait_for

from dspy_fusion.programs import BankError, CandidateBank, Vote

WAYS = ["called", "awaited"]


def ask(program: dspy.Module, way: str) -> Any:
    return program(question="q") if way == "called" else asyncio.run(program.acall(question="q"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_where_a_bank_cannot_be_written_no_further_candidate_is_paid_for(
    tmp_path: Path, way: str, deadline: float | None
) -> None:
    bank, lm = CandidateBank(tmp_path / "bank.db"), ScriptedLM(answers("a"))

    def full_disk(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT"):
            raise OSError("no space left on device")

    event.listen(bank.engine, "before_cursor_execute", full_disk)
    program = Vote(dspy.Predict("question -> answer"), n=5, bank=bank, max_concurrency=1, deadline_seconds=deadline)
    with dspy.context(lm=lm), pytest.raises(BankError, match="no space left on device"):
        ask(program, way)
    assert len(lm.requests) == 1


def test_where_a_thread_cannot_be_started_those_that_were_begin_no_further_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, number, go_on = threading.Thread.start, count(), threading.Event()

    def started(thread: threading.Thread) -> None:
        if thread.name == "dspy-fusion" and next(number) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    def answer(request: Any) -> dict[str, str]:
        go_on.wait(timeout=30)
        return {"answer": "a"}

    lm = ScriptedLM(answer)
    monkeypatch.setattr(threading.Thread, "start", started)
    with dspy.context(lm=lm), pytest.raises(RuntimeError, match="can't start new thread"):
        Vote(dspy.Predict("question -> answer"), n=8)(question="q")
    go_on.set()
    wait_for(lambda: "dspy-fusion" not in {thread.name for thread in threading.enumerate()}, "a thread goes on", 30)
    assert len(lm.requests) <= 2
