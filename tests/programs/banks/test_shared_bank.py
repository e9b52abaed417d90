from __future__ import annotations

import asyncio
import pickle
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dspy
import pytest
import sqlalchemy as sa
from conftest import ScriptedLM, answers, slow
from waiting import wait_for

from dspy_fusion.programs import CandidateBank, Vote
from dspy_fusion.programs.banks import reservations
from dspy_fusion.programs.calls.leaving import LeftBehind
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.pools.candidates import Candidate


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


def test_what_another_process_kept_while_the_first_drew_is_not_drawn_by_the_next(tmp_path: Path) -> None:
    bank, others = (CandidateBank(tmp_path / "bank.db") for _ in range(2))  # as two processes have it
    program, lm = Vote(dspy.Predict("question -> answer"), n=1, bank=bank), ScriptedLM(answers("a"))
    with dspy.context(lm=lm):
        first, second = (program.attempts({"question": "q"}, 1)[0] for _ in range(2))
        assert bank.replays([first]) == bank.replays([second]) == {}
        assert not others.drawn_once(first, Meter(limited=True)).replayed
        assert bank.drawn_once(first, Meter(limited=True)).replayed  # it was paid for, but another was first
        assert len(lm.requests) == 2
        assert bank.drawn_once(second, Meter(limited=True)).replayed
    assert len(lm.requests) == 2


def test_one_that_waited_and_one_that_came_late_draw_nothing_anew(bank: CandidateBank) -> None:
    drawing, waits = threading.Event(), threading.Event()
    program = Vote(dspy.Predict("question -> answer"), n=1, bank=bank)

    def held_up(request: Any) -> Any:
        drawing.set()
        waits.wait(timeout=30)
        return {"answer": "a"}

    lm = ScriptedLM(held_up)
    with dspy.context(lm=lm), ThreadPoolExecutor(3) as threads:

        def draw() -> Future[Candidate]:
            return threads.submit(copy_context().run, bank.drawn_once, attempts.pop(), Meter(limited=True))

        attempts = [program.attempts({"question": "q"}, 1)[0] for _ in range(3)]
        assert all(bank.replays([attempt]) == {} for attempt in attempts)
        drawn = [draw()]
        drawing.wait(timeout=30)
        drawn.append(draw())
        time.sleep(0.2)  # until it waits for the first

        @sa.event.listens_for(bank.engine, "before_cursor_execute")
        def look(_: Any, __: Any, statement: str, *rest: Any) -> None:
            if statement.startswith("SELECT") and len(drawn) == 2:  # the second looks again
                drawn.append(draw())
                wait(drawn[2:], timeout=0.5)

        waits.set()
        assert [future.result(timeout=30).replayed for future in drawn] == [False, True, True]
    assert len(lm.requests) == 1


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


def test_what_another_process_draws_is_waited_for(tmp_path: Path) -> None:
    banks = [CandidateBank(tmp_path / "bank.db", shared=True) for _ in range(2)]  # as two processes have it
    lm = ScriptedLM(slow(0.3, answers("a"), when=lambda request: True))

    def draw(bank: CandidateBank) -> list[bool]:
        with dspy.context(lm=lm):
            pool = Vote(dspy.Predict("question -> answer"), n=3, bank=bank)(question="q").pool
        return [candidate.replayed for candidate in pool.good]

    with ThreadPoolExecutor(2) as threads:
        replayed = list(threads.map(draw, banks))
    assert sum(map(sum, replayed)) == 3
    assert len(lm.requests) == 3


def test_tasks_of_two_processes_draw_once(tmp_path: Path) -> None:
    banks = [CandidateBank(tmp_path / "bank.db", shared=True) for _ in range(2)]
    lm = ScriptedLM(slow(0.3, answers("a"), when=lambda request: True))

    async def both() -> None:
        programs = [Vote(dspy.Predict("question -> answer"), n=3, bank=bank) for bank in banks]
        await asyncio.gather(*(program.acall(question="q") for program in programs))

    with dspy.context(lm=lm):
        asyncio.run(both())
    assert len(lm.requests) == 3


def test_what_another_process_could_not_draw_is_drawn_by_who_waited(tmp_path: Path) -> None:
    banks = [CandidateBank(tmp_path / "bank.db", shared=True) for _ in range(2)]
    is_first = iter([True, False])

    def answer(request: Any) -> Any:
        time.sleep(0.3)
        if next(is_first):
            raise ConnectionError("the server is gone")
        return {"answer": "a"}

    lm = ScriptedLM(answer)

    def draw(bank: CandidateBank) -> int:
        with dspy.context(lm=lm):
            attempt = Vote(dspy.Predict("question -> answer"), n=1, bank=bank).attempts({"question": "q"}, 1)[0]
            return bank.drawn_once(attempt, Meter(limited=True)).ok

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(draw, banks)) == [False, True]
    assert len(banks[0]) == 1


@pytest.mark.parametrize("host", ["", "far away"])
def test_the_reservation_of_a_killed_process_is_passed_over(tmp_path: Path, host: str) -> None:
    bank = CandidateBank(tmp_path / "bank.db", shared=True)
    program = Vote(dspy.Predict("question -> answer"), n=2, bank=bank)
    with dspy.context(lm=ScriptedLM(answers("a"))):
        program(question="another")
        key = program.attempts({"question": "q"}, 2)[0].key
        values = {"key": key, "process": f"{host or socket.gethostname()}:999999999-1", "ends": time.time() - 1}
        with bank.engine.begin() as connection:
            connection.execute(sa.text("insert into dspy_fusion_reservations values (:key, :process, :ends)"), values)
        assert len(program(question="q").pool.good) == 2
    with bank.engine.connect() as connection:
        assert connection.scalar(sa.text("select count(*) from dspy_fusion_reservations")) == 0


def test_a_draw_that_takes_long_stays_reserved_for_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, release, drawing = [1000.0], threading.Event(), threading.Event()
    monkeypatch.setattr(reservations, "RENEWED_SECONDS", 0.01)
    monkeypatch.setattr(reservations, "runs_here", lambda name: None)
    monkeypatch.setattr(reservations, "time", SimpleNamespace(time=lambda: now[0], sleep=time.sleep))
    banks = [CandidateBank(tmp_path / "bank.db", shared=True) for _ in range(2)]

    def answer(request: Any) -> dict[str, str]:
        drawing.set()
        release.wait(timeout=60)
        return {"answer": "a"}

    def end() -> float:
        with banks[0].engine.connect() as connection:
            return connection.scalar(sa.text("select ends from dspy_fusion_reservations"))

    lm = ScriptedLM(answer)
    with dspy.context(lm=lm), ThreadPoolExecutor(2) as threads:
        (attempt,) = Vote(dspy.Predict("question -> answer"), n=1).attempts({"question": "q"}, 1)
        attempt = replace(attempt, key="key")
        drawn = [threads.submit(copy_context().run, banks[0].drawn_once, attempt, Meter(limited=True))]
        assert drawing.wait(timeout=60)
        drawn.append(threads.submit(copy_context().run, banks[1].drawn_once, attempt, Meter(limited=True)))
        for _ in range(3):
            now[0] += 100
            wait_for(lambda: end() == now[0] + reservations.LEASE_SECONDS, "it is not renewed")
            time.sleep(0.1)  # the second looks
        release.set()
        assert [future.result(timeout=60).replayed for future in drawn] == [False, True]
    assert len(lm.requests) == 1


def test_who_is_given_up_waits_no_longer_for_another_process(tmp_path: Path) -> None:
    banks = [CandidateBank(tmp_path / "bank.db", shared=True) for _ in range(2)]
    release, drawing = threading.Event(), threading.Event()

    def answer(request: Any) -> dict[str, str]:
        drawing.set()
        release.wait(timeout=30)
        return {"answer": "a"}

    with dspy.context(lm=ScriptedLM(answer)), ThreadPoolExecutor(2) as threads:
        program = Vote(dspy.Predict("question -> answer"), n=1, bank=banks[0])
        (attempt,) = program.attempts({"question": "q"}, 1)
        first = threads.submit(copy_context().run, banks[0].drawn_once, attempt, Meter(limited=True))
        assert drawing.wait(timeout=30)
        with pytest.raises(LeftBehind):
            banks[1].drawn_once(attempt, Meter(limited=True, end=time.monotonic() + 0.2))
        release.set()
        assert first.result(timeout=30).ok


def test_a_bank_stays_shared_when_it_goes_to_another_process(tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(CandidateBank(tmp_path / "bank.db", shared=True))).shared
