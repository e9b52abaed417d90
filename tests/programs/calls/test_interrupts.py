"""After Ctrl-C nothing more is paid for: neither by what is under way, nor by what begins in its threads later."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers

from dspy_fusion.programs import Vote
from dspy_fusion.programs.calls import interrupts
from dspy_fusion.programs.calls.interrupts import given_up_when_interrupted
from dspy_fusion.programs.calls.leaving import LeftBehind

TASK = "question -> answer"


class HeldUp(dspy.Module):
    """Says that it has begun, and asks a model when it may go on."""

    def __init__(self, begun: threading.Event, may_go_on: threading.Event) -> None:
        super().__init__()
        self.ask = dspy.Predict(TASK)
        self.begun, self.may_go_on = begun, may_go_on

    def forward(self, question: str) -> Any:
        self.begun.set()
        self.may_go_on.wait(timeout=30)
        return self.ask(question=question)


@pytest.fixture
def lm() -> Iterator[ScriptedLM]:
    made = ScriptedLM(answers("a"))
    with dspy.context(lm=made):
        yield made


def interrupted(work: Callable[[], Any], begun: threading.Event, threads: ThreadPoolExecutor) -> Future[Any]:
    """Work in a thread that is waited for when an interrupt comes, after the time that is left to it then."""
    future: Future[Any] = Future()
    with contextlib.suppress(KeyboardInterrupt), given_up_when_interrupted():
        future = threads.submit(copy_context().run, work)
        begun.wait(timeout=30)
        raise KeyboardInterrupt
    for timer in (thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)):
        timer.join(timeout=30)
    return future


def is_left_behind(work: Callable[[], Any], begun: threading.Event, may_go_on: threading.Event) -> None:
    with ThreadPoolExecutor(1) as threads:
        future = interrupted(work, begun, threads)
        may_go_on.set()
        with pytest.raises(LeftBehind):
            future.result(timeout=30)


@pytest.mark.parametrize("way", ["called", "awaited"])
@pytest.mark.parametrize("deadline", [None, 3600.0])
def test_a_program_that_is_interrupted_ends_without_an_answer_and_with_no_failure(
    lm: ScriptedLM, deadline: float | None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "GRACE_SECONDS", 0.05)
    begun, may_go_on = threading.Event(), threading.Event()
    program = Vote(HeldUp(begun, may_go_on), n=2, deadline_seconds=deadline, signature=TASK)

    def work() -> Any:
        return program(question="q") if way == "called" else asyncio.run(program.acall(question="q"))

    is_left_behind(work, begun, may_go_on)
    assert not lm.requests


def test_a_program_that_begins_after_the_interrupt_asks_nobody(lm: ScriptedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE_SECONDS", 0.05)
    begun, may_begin = threading.Event(), threading.Event()

    def work() -> Any:
        begun.set()
        may_begin.wait(timeout=30)
        return Vote(dspy.Predict(TASK), n=2)(question="q")

    is_left_behind(work, begun, may_begin)
    assert not lm.requests


def test_what_the_only_attempt_has_started_asks_nobody_after_an_interrupt(lm: ScriptedLM) -> None:
    may_go_on, started = threading.Event(), []

    class Starting(dspy.Module):
        def forward(self, question: str) -> Any:
            asking = HeldUp(threading.Event(), may_go_on)
            started.append(ThreadPoolExecutor(1).submit(copy_context().run, lambda: asking(question=question)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Vote(Starting(), n=1, signature=TASK)(question="q")
    may_go_on.set()
    with pytest.raises(LeftBehind):
        started[0].result(timeout=30)
    assert not lm.requests
