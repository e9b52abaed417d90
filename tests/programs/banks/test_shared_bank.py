from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import pytest
import sqlalchemy as sa
from conftest import ScriptedLM, answers

from dspy_fusion.programs import CandidateBank, Vote
from dspy_fusion.programs.calls.metering import Meter


@pytest.fixture
def bank(tmp_path: Path) -> CandidateBank:
    return CandidateBank(tmp_path / "bank.db")


def statements(bank: CandidateBank) -> list[str]:
    """What the database is asked from now on."""
    seen: list[str] = []

    @sa.event.listens_for(bank.engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        seen.append(statement.split()[0])

    return seen


def test_a_batch_that_is_new_is_looked_up_once(bank: CandidateBank) -> None:
    program, seen = Vote(dspy.Predict("question -> answer"), n=6, bank=bank), statements(bank)
    with dspy.context(lm=ScriptedLM(answers("a"))):
        assert not any(c.replayed for c in program(question="q").pool.candidates)
        assert seen.count("SELECT") == 1
        assert all(c.replayed for c in program(question="q").pool.candidates)
    assert len(bank) == 6


def test_what_another_kept_since_the_look_up_is_not_drawn_again(bank: CandidateBank) -> None:
    lm = ScriptedLM(answers("a", "b"))
    program = Vote(dspy.Predict("question -> answer"), n=2, bank=bank)
    with dspy.context(lm=lm):
        early, late = program.attempts({"question": "q"}, 2), program.attempts({"question": "q"}, 2)
        assert bank.replays(late) == {}
        for attempt in early:
            bank.drawn_once(attempt, Meter(limited=True))
        assert all(bank.drawn_once(attempt, Meter(limited=True)).replayed for attempt in late)
    assert len(lm.requests) == 2


def test_threads_that_are_ready_together_lose_nothing(bank: CandidateBank) -> None:
    ready = threading.Barrier(24)

    def keep(place: int) -> bool:
        ready.wait(timeout=30)
        return bank._writes.keep(f"key {place // 2}", f"payload {place}")

    with ThreadPoolExecutor(24) as threads:
        news = list(threads.map(keep, range(24)))
    assert len(bank) == 12
    assert all(sum(news[place : place + 2]) == 1 for place in range(0, 24, 2))


def test_one_that_cannot_be_written_spoils_no_other(bank: CandidateBank) -> None:
    ready = threading.Barrier(8)

    def keep(place: int) -> bool:
        ready.wait(timeout=30)
        payload: Any = object() if place == 3 else f"payload {place}"
        return bank._writes.keep(f"key {place}", payload)

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(keep, place) for place in range(8)]
    with pytest.raises(sa.exc.SQLAlchemyError, match="type 'object' is not supported"):
        futures[3].result()
    assert all(future.result() for place, future in enumerate(futures) if place != 3)
    assert len(bank) == 7
