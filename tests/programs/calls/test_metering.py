"""What threads count and record at the same moment."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import dspy
from conftest import ScriptedLM, answers

from dspy_fusion.programs import Vote
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.pools.candidates import Usage


def test_what_a_thread_that_was_left_behind_still_counts_is_in_nobodys_way() -> None:
    meter, behind = Meter(limited=False), []

    class Name(str):
        def __hash__(self) -> int:  # asked in the middle of a look at what was counted
            if behind:
                late = threading.Thread(target=meter.add_replayed, args=(behind.pop(),))
                late.start()
                late.join()
            return str.__hash__(self)

    meter.add_replayed({Name("a"): Usage(calls=1), Name("b"): Usage(calls=2)})
    behind.append({"a late one": Usage(calls=1)})
    assert meter.usage.calls >= 3
    assert not behind
    assert meter.usage.calls == 4


def test_answers_that_come_at_the_same_moment_are_both_recorded_in_a_short_history() -> None:
    together = threading.Barrier(2)

    class History(list[Any]):
        def meet(self) -> None:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(timeout=0.5)

        def __len__(self) -> int:
            self.meet()
            return super().__len__()

        def pop(self, *place: Any) -> Any:
            entry = super().pop(*place)
            self.meet()
            return entry

    lm = ScriptedLM(answers("a", "a"))
    lm.history = History([{}])
    with dspy.context(lm=lm, disable_history=False, max_history_size=1):
        assert len(Vote(dspy.Predict("question -> answer"), n=2)(question="q").pool.good) == 2
    assert [*map(bool, lm.history)] == [True]
