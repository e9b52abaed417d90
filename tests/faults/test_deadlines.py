"""What a deadline means for what is under way: no further call, no further try, and no answer that was cut off."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import dspy
import pytest
from waiting import wait_for, with_time_enough

from dspy_fusion.programs import BestOfN, Fusion, LMJudge, QuorumNotMet, ScorerError, Vote

from .conftest import TASK, Outcome, call, lm_at, workers
from .faulty_server import Asked, FaultyServer


class TwoSteps(dspy.Module):
    """Pauses between two calls until it is left behind, unless it has the first seed, and takes any failure for its
    own.
    """

    left = threading.Event()

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = dspy.Predict(TASK), dspy.Predict(TASK)

    def forward(self, question: str) -> dspy.Prediction:
        self.first(question=question)
        if dspy.settings.lm.kwargs["seed"] > 0:
            self.left.wait(120)
        try:
            return self.second(question=question)
        except Exception:  # noqa: BLE001
            return self.second(question=question)


def left_behind(server: FaultyServer, program: Callable[[float], dspy.Module], requests: int) -> Outcome:
    """What came of a program with a deadline before which so many requests can be made."""

    def within(seconds: float) -> Outcome:
        TwoSteps.left.clear()
        outcome = call(server, program(seconds), lm_at(server, "lm15"), 5)
        TwoSteps.left.set()
        wait_for(lambda: workers() == 0, "threads are left")
        return outcome

    return with_time_enough(within, lambda outcome: outcome.billed.requests == requests)


def test_a_module_that_is_left_behind_calls_no_more(server: FaultyServer) -> None:
    outcome = left_behind(server, lambda s: Vote(TwoSteps(), n=2, signature=TASK, deadline_seconds=s), 3)
    assert [candidate.ok for candidate in outcome.pool.candidates] == [True, False]
    assert server.log.requests == 3


def test_a_program_within_a_program_that_is_left_behind_calls_no_more(server: FaultyServer) -> None:
    inner = Vote(TwoSteps(), n=1, signature=TASK)
    left_behind(server, lambda s: Vote(inner, n=2, signature=TASK, deadline_seconds=s), 2)
    assert server.log.requests == 2


def test_no_try_begins_that_would_come_too_late(server: FaultyServer) -> None:
    program = Vote(dspy.Predict(TASK), n=2, deadline_seconds=50)
    outcome = call(
        server,
        program,
        lm_at(server, "lm15", num_retries=5),
        5,
        plan=lambda asked: "rate_limit_429 for a minute" if asked.seed == 1 else "",
    )
    assert outcome.pool.candidates[1].error.startswith("LMRateLimitError")
    assert server.log.requests == 2


def test_what_fails_at_its_deadline_is_late_and_nothing_else() -> None:
    """A client's own time limit is over at the same moment, and on a busy machine its error is seen first."""

    class HeldUp(dspy.Module):
        async def aforward(self, question: str) -> dspy.Prediction:
            while not dspy.settings.usage_tracker.is_over():  # no other task has its turn
                time.sleep(0.01)
            raise ConnectionError("read timed out")

    program = Vote(HeldUp(), n=2, signature=TASK, deadline_seconds=0.1)
    with pytest.raises(QuorumNotMet) as raised:
        asyncio.run(program.acall(question="q"))
    expected = "DeadlineExceeded: not begun within 0.1 s"
    assert list(raised.value.causes) == [f"candidate {place}: {expected}" for place in range(2)]


@pytest.mark.parametrize("engine", ["lm15", "litellm"])
def test_an_answer_that_was_cut_off_is_no_answer(server: FaultyServer, engine: str) -> None:
    program = Fusion(dspy.Predict(TASK), n=2)
    outcome = call(server, program, lm_at(server, engine), 5, plan=lambda asked: "length" if asked.seed == 1 else "")
    assert (
        outcome.pool.candidates[1].error
        == "AnswerCutOff: the answer ended at the model's token limit; raise max_tokens"
    )
    assert outcome.pool.candidates[1].usage.tokens_out > 0


def test_a_cut_off_try_before_the_answer_does_no_harm(server: FaultyServer) -> None:
    def plan(asked: Asked) -> str:  # the first reply lacks a field, so DSPy asks again for JSON
        return "" if "JSON object" in asked.prompt else "empty"

    program = Vote(dspy.Predict(TASK), n=1)
    outcome = call(server, program, lm_at(server, "lm15"), 5, plan=plan)
    assert outcome.prediction
    assert outcome.prediction.answer == "right 5"
    assert outcome.pool.total.calls == 2


@pytest.mark.parametrize("disabled", [False, True])
def test_the_users_history_is_as_it_was(server: FaultyServer, disabled: bool) -> None:
    server.plan = lambda asked: ""
    lm = lm_at(server, "lm15")
    program: Any = Vote(dspy.Predict(TASK), n=2)
    with dspy.context(lm=lm, disable_history=disabled):
        program(question="what is 5")
    assert len(program.history) == (0 if disabled else 2)


def test_a_judge_that_is_cut_off_gives_no_score(server: FaultyServer) -> None:
    program = BestOfN(dspy.Predict(TASK), n=2, scorer=LMJudge())
    outcome = call(
        server, program, lm_at(server, "lm15"), 5, plan=lambda asked: "length" if "verdict" in str(asked.body) else ""
    )
    assert isinstance(outcome.error, ScorerError)
