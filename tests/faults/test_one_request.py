"""Several candidates in one request, under every fault: what strikes it strikes all of them,
and nobody is billed twice or left behind.
"""

from __future__ import annotations

import asyncio
import json

import dspy
import pytest
from waiting import wait_for

from dspy_fusion.programs import QuorumNotMet
from dspy_fusion.serving.replicas import gathered_requests
from dspy_fusion.serving.replicas.together import TogetherLM

from .conftest import FAULTS, PROGRAMS, SLOW_FAULTS, TASK, call, workers
from .faulty_server import Asked, FaultyServer

pytestmark = pytest.mark.usefixtures("siblings_wait")

HARMLESS = (
    "no_usage",
    "same_text",
    "markers",
    "huge",
    "unicode",
    "n_ignored",
    "no_choices",
)  # who got no completion asks for one


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, one request waits for all who belong to it."""
    monkeypatch.setattr(gathered_requests, "_LONGEST_SECONDS_FOR_SIBLINGS", 30.0)


def together(server: FaultyServer) -> TogetherLM:
    return TogetherLM(
        "openai/m", connection={"api_base": server.address, "api_key": "none"}, cache=False, num_retries=0
    )


def strikes_candidates(fault: str) -> object:
    """The fault for every request that draws; who asks alone after a harmless one is answered."""
    return lambda asked: "" if asked.is_fusor or (fault in HARMLESS and asked.body["n"] == 1) else fault


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("awaited", [False, True])
def test_a_fault_strikes_all_of_a_request_and_no_more(server: FaultyServer, fault: str, awaited: bool) -> None:
    program, lm = PROGRAMS["Fusion"](dspy.Predict(TASK), deadline_seconds=60), together(server)
    outcome = call(server, program, lm, 3, plan=strikes_candidates(fault), awaited=awaited)
    assert outcome.tokens == (outcome.billed.tokens_in, outcome.billed.tokens_out)
    if fault in HARMLESS:
        assert outcome.prediction
        assert outcome.prediction.answer.startswith("right 3")
        assert all(candidate.ok for candidate in outcome.pool.candidates)
    else:
        assert isinstance(outcome.error, QuorumNotMet)
    after = call(server, program, lm, 77, awaited=awaited)
    assert after.prediction
    assert after.billed.requests == 2
    assert after.tokens == (after.billed.tokens_in, after.billed.tokens_out)
    wait_for(lambda: workers() == 0, "threads are left")


@pytest.mark.parametrize("fault", SLOW_FAULTS)
@pytest.mark.parametrize("awaited", [False, True])
def test_nobody_waits_past_the_deadline(server: FaultyServer, fault: str, awaited: bool) -> None:
    lm = together(server)
    call(
        server, PROGRAMS["Vote"](dspy.Predict(TASK)), lm, 7, awaited=awaited
    )  # the first call loads litellm, which takes seconds
    program = PROGRAMS["Fusion"](dspy.Predict(TASK), deadline_seconds=0.8)
    outcome = call(server, program, lm, 3, plan=strikes_candidates(fault), awaited=awaited)
    assert isinstance(outcome.error, QuorumNotMet)
    wait_for(lambda: workers() == 0, "threads are left")
    patient = PROGRAMS["Fusion"](dspy.Predict(TASK), deadline_seconds=60)
    assert call(server, patient, lm, 4, awaited=awaited).prediction


def test_one_unreadable_completion_costs_one_candidate(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = server._answer

    async def spoilt(asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        return await answered(asked, reader, _Spoiling(writer))  # type: ignore[arg-type]

    monkeypatch.setattr(server, "_answer", spoilt)
    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(adapter=adapter):
        outcome = call(server, PROGRAMS["Vote"](dspy.Predict(TASK)), together(server), 5)
    assert outcome.billed.requests == 1
    assert sorted(candidate.ok for candidate in outcome.pool.candidates) == [False, True, True]


class _Spoiling:
    """Makes the last completion of a response unreadable, without changing its length."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, payload: bytes) -> None:
        if payload.startswith(b"{"):
            body = json.loads(payload)
            text = body["choices"][-1]["message"]["content"]
            body["choices"][-1]["message"]["content"] = text.replace("[[ ##", "(( ##")
            payload = json.dumps(body).encode()
        self._writer.write(payload)

    async def drain(self) -> None:
        await self._writer.drain()
