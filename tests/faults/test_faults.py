"""Every program under every fault: the right answer, a declared fallback or a typed error; in time,
billed to the token, nothing left
behind, and the next call as if nothing had been."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from waiting import wait_for, with_time_enough

from dspy_fusion.programs import FusorFailed, QuorumNotMet, ScorerError

from .conftest import FAULTS, PLACES, PROGRAMS, SLOW_FAULTS, TASK, Outcome, call, lm_at, workers
from .faulty_server import FaultyServer

FUSING = ("Fusion", "ProposeAggregate")
HARMLESS = ("no_usage", "n_ignored", "n_refused", "same_text", "markers", "huge", "unicode")
CALLS = {"BestOfN": 3, "Vote": 3, "Fusion": 4, "ProposeAggregate": 7}


def check(outcome: Outcome, number: int, where: str = "") -> None:
    """The right answer or a typed error, and the server's own bill."""
    if outcome.prediction is None:
        assert isinstance(outcome.error, QuorumNotMet | FusorFailed | ScorerError), where
    else:
        assert outcome.prediction.answer.startswith(f"right {number}"), where
        assert outcome.prediction.count == number, where
        outcome.prediction.answer.encode()
        assert outcome.pool.total.calls == outcome.billed.requests, where
        assert (outcome.pool.total.tokens_in, outcome.pool.total.tokens_out) == outcome.tokens, where
    assert outcome.tokens == (outcome.billed.tokens_in, outcome.billed.tokens_out), where


def fault_at(fault: str, place: str) -> Any:
    return lambda asked: fault if PLACES[place](asked) else ""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_fault_is_survived_wherever_it_strikes(server: FaultyServer, kind: str, fault: str) -> None:
    program, lm = PROGRAMS[kind](dspy.Predict(TASK), deadline_seconds=60), lm_at(server, "lm15")
    for number, place in enumerate(PLACES, 1):
        outcome = call(server, program, lm, number, plan=fault_at(fault, place))
        check(outcome, number, place)
        assert (outcome.prediction is None) == (place in ("all candidates", "everything") and fault not in HARMLESS), (
            place
        )
        if outcome.prediction and kind in FUSING:
            assert bool(outcome.pool.fallback) == (place == "the fusor" and fault not in HARMLESS), place
        after = call(server, program, lm, 77)
        check(after, 77)
        assert after.pool.fallback is None
        assert all(candidate.ok for candidate in after.pool.candidates)
    wait_for(lambda: workers() == 0, "threads are left")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("engine", ["lm15", "litellm"])
@pytest.mark.parametrize("awaited", [False, True])
def test_engines_and_awaiting_are_no_different(server: FaultyServer, fault: str, engine: str, awaited: bool) -> None:
    program, lm = PROGRAMS["ProposeAggregate"](dspy.Predict(TASK), deadline_seconds=60), lm_at(server, engine)
    for place in ("one candidate", "the fusor"):
        outcome = call(server, program, lm, 3, plan=fault_at(fault, place), awaited=awaited)
        check(outcome, 3, place)
        assert outcome.prediction
        check(call(server, program, lm, 4, awaited=awaited), 4)
    wait_for(lambda: workers() == 0, "threads are left")


def failures(outcome: Outcome) -> list[str]:
    """Why there is no answer, or why attempts that others made up for failed."""
    if outcome.pool is None:
        return [str(outcome.error)]
    attempts = (*outcome.pool.candidates, *(candidate for layer in outcome.pool.layers for candidate in layer))
    return [str(cause) for cause in (*(one.error for one in attempts), outcome.pool.fallback) if cause]


def struck(server: FaultyServer, kind: str, lm: dspy.LM, fault: str, place: str, *, awaited: bool = False) -> Outcome:
    """What came of a question whose deadline only those calls miss that a fault strikes."""

    def within(seconds: float) -> Outcome:
        program = PROGRAMS[kind](dspy.Predict(TASK), deadline_seconds=seconds)
        outcome = call(server, program, lm, 5, plan=fault_at(fault, place), awaited=awaited)
        wait_for(lambda: workers() == 0, "threads are left")
        return outcome

    return with_time_enough(within, lambda outcome: len(failures(outcome)) == 1)


@pytest.mark.parametrize("fault", SLOW_FAULTS)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_nothing_outlasts_the_deadline(server: FaultyServer, kind: str, fault: str) -> None:
    lm, patient = lm_at(server, "lm15", num_retries=3), PROGRAMS[kind](dspy.Predict(TASK), deadline_seconds=60)
    before = server.connections
    for place in ("one candidate", "everything") if kind in FUSING[1:] else ("one candidate",):
        outcome = struck(server, kind, lm, fault, place)
        check(outcome, 5, place)
        assert all("DeadlineExceeded" in cause for cause in failures(outcome))
        assert len(failures(outcome)) == 1
        check(call(server, patient, lm, 6), 6)
        wait_for(lambda: workers() == 0, "threads are left")
        wait_for(
            lambda: server.connections <= before + 7, "connections are left"
        )  # idle ones of the two calls are kept for the next
        assert server.log.requests == CALLS[kind], "an attempt that was left behind went on calling"


@pytest.mark.parametrize("engine", ["lm15", "litellm"])
@pytest.mark.parametrize("fault", SLOW_FAULTS)
def test_awaiting_ends_what_is_late(server: FaultyServer, engine: str, fault: str) -> None:
    lm = lm_at(server, engine)
    check(
        call(server, PROGRAMS["Vote"](dspy.Predict(TASK)), lm, 7, awaited=True), 7
    )  # the first call loads litellm, which takes seconds
    before = server.connections
    outcome = struck(server, "Fusion", lm, fault, "one candidate", awaited=True)
    check(outcome, 5)
    assert outcome.pool.candidates[1].error.startswith("DeadlineExceeded")
    wait_for(lambda: server.connections <= before + 4, "connections are left")


def test_a_refused_call_is_made_again_and_billed_once(server: FaultyServer) -> None:
    seen: set[int] = set()

    def plan(asked: Any) -> str:
        again = asked.seed in seen or asked.is_fusor
        seen.add(asked.seed)
        return "" if again else "rate_limit_429"

    program, lm = PROGRAMS["Fusion"](dspy.Predict(TASK)), lm_at(server, "lm15", num_retries=2)
    outcome = call(server, program, lm, 9, plan=plan)
    assert outcome.prediction
    assert outcome.seconds >= 1  # as the server's Retry-After says
    assert (outcome.billed.requests, outcome.pool.total.calls) == (7, 4)
    assert outcome.tokens == (outcome.billed.tokens_in, outcome.billed.tokens_out)
