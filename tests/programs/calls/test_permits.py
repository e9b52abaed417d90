"""The calls that a process makes at once are limited; those that are not made take nobody's place."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers
from waiting import with_time_enough

from dspy_fusion.programs import QuorumNotMet, Vote
from dspy_fusion.programs.calls.leaving import LeftBehind
from dspy_fusion.programs.calls.limits import limited
from dspy_fusion.programs.calls.metering import Meter

PERMITS = 256


def test_calls_that_come_too_late_neither_count_nor_take_a_permit() -> None:
    late, begun, ended = threading.Event(), list[int](), threading.Semaphore(0)

    class ComesLate(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            begun.append(1)
            try:
                late.wait(timeout=120)
                return self.predict(question=question)
            finally:
                ended.release()

    class Around(dspy.Module):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.inner = Vote(ComesLate(), n=PERMITS // 2 + 1, deadline_seconds=seconds)

        def forward(self, question: str) -> Any:
            return self.inner(question=question)

    def within(seconds: float) -> Any:
        late.clear()
        begun.clear()
        with limited(calls=PERMITS * 4) as spent, pytest.raises(QuorumNotMet, match="not begun within"):
            Vote(Around(seconds), n=2)(question="q")
        late.set()
        assert all(ended.acquire(timeout=60) for _ in begun)
        return spent

    lm = ScriptedLM(answers("a"))
    with dspy.context(lm=lm):
        spent = with_time_enough(within, lambda _: len(begun) == PERMITS + 2)
        assert len(begun) == PERMITS + 2
        assert spent.usage.calls == len(lm.requests) == 0
        assert Vote(dspy.Predict("question -> answer"), n=2, deadline_seconds=60)(question="q").answer == "a"


def test_one_that_is_given_up_while_it_waits_for_a_permit_makes_no_call() -> None:
    lm, holder, waiting = ScriptedLM(answers("a")), Meter(limited=True), Meter(limited=True)
    for number in range(PERMITS):
        holder.on_lm_start(str(number), lm, {})
    with ThreadPoolExecutor(1) as threads:
        begun = threads.submit(waiting.on_lm_start, "one more", lm, {})
        time.sleep(0.2)  # until it waits
        waiting.give_up()
        for number in range(PERMITS):
            holder.on_lm_end(str(number), None)
        with pytest.raises(LeftBehind):
            begun.result(timeout=60)
    assert waiting.usage.calls == 0
    assert holder.usage.calls == PERMITS
