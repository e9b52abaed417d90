from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc
from waiting import wait_for

from dspy_fusion.optimizers.tuning.scores.study_store import StudyStore
from dspy_fusion.optimizers.tuning.scores.workers import STALE_SECONDS, Workers

HOLD = (
    "import os, sys; from dspy_fusion.optimizers.tuning.scores.study_store import StudyStore; "
    "workers = StudyStore(sys.argv[1],"
    " 's').workers\nwith workers.turn():\n    print(workers.name, flush=True); os.kill(os.getpid(), 9)"
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def workers(url: str) -> Workers:
    return StudyStore(url, "s").workers


def test_this_process_is_alive(workers: Workers) -> None:
    assert workers.is_alive(workers.name)


def test_a_process_that_ended_or_whose_id_was_reused_is_not(workers: Workers) -> None:
    host, _, process = workers.name.rpartition(":")
    assert not workers.is_alive(f"{host}:{process.partition('-')[0]}-1")
    assert not workers.is_alive(f"{host}:999999999-1")


def test_a_process_that_ended_and_was_not_asked_about_is_not(url: str, workers: Workers) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        name = killed.stdout.readline().strip()
        killed.stdout.read()  # until it has ended
        with workers.turn():
            assert not workers.is_alive(name)


def test_a_worker_elsewhere_is_alive_while_it_beats(url: str, workers: Workers) -> None:
    with sa.create_engine(url).begin() as connection:
        for name, age in (("far:1-1", 0.0), ("gone:1-1", STALE_SECONDS + 1)):
            connection.execute(
                sa.text("insert into dspy_fusion_workers values (:name, :beat)"),
                {"name": name, "beat": time.time() - age},
            )
    assert [workers.is_alive(name) for name in ("far:1-1", "gone:1-1", "unknown:1-1")] == [True, False, False]


def test_company_is_another_process_that_is_at_work(url: str, workers: Workers) -> None:
    with workers.at_work():
        assert not workers.has_company()
        host = workers.name.rpartition(":")[0]
        for name, age, counts in ((f"{host}:999999999-1", 0.0, False), ("gone:1-1", STALE_SECONDS + 1, False),
                                  ("far:1-1", 0.0, True)):  # fmt: skip
            with sa.create_engine(url).begin() as connection:
                connection.execute(
                    sa.text("insert into dspy_fusion_workers values (:name, :beat)"),
                    {"name": name, "beat": time.time() - age},
                )
            assert workers.has_company() == counts


def test_only_one_has_the_turn(url: str) -> None:
    inside: list[int] = []

    def enter() -> None:
        with StudyStore(url, "s").workers.turn():
            inside.append(1)
            assert len(inside) == 1
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


def test_the_turn_of_a_killed_worker_is_taken_over(url: str, workers: Workers) -> None:
    killed = subprocess.run([sys.executable, "-c", HOLD, url], capture_output=True, text=True)
    assert killed.returncode == -9
    assert not workers.is_alive(killed.stdout.strip())
    with workers.turn():
        pass


def test_a_worker_that_was_taken_for_dead_ends_nobody_elses_turn(url: str, workers: Workers) -> None:
    late, third = StudyStore(url, "s").workers, StudyStore(url, "s").workers
    late.name = "far:1-1"  # of which this machine knows only its beats, and there are none
    has_entered = threading.Event()

    def enter() -> None:
        with third.turn():
            has_entered.set()

    waiting = threading.Thread(target=enter, daemon=True)
    with ExitStack() as turn_of_late:
        turn_of_late.enter_context(late.turn())
        with workers.turn():  # taken over
            turn_of_late.close()
            waiting.start()
            assert not has_entered.wait(timeout=1)
    waiting.join(30)
    assert has_entered.is_set()


def test_a_worker_beats_on_after_any_error_of_its_database(
    url: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspy_fusion.optimizers.tuning.scores.workers.BEAT_SECONDS", 0.02)
    failed: list[str] = []

    def fail(*_: object) -> None:
        if threading.current_thread().name == "heartbeat" and not failed:
            failed.append("the connection is closed")
            raise exc.InterfaceError("", {}, Exception(failed[0]))

    event.listen(workers._engine, "before_cursor_execute", fail)
    with workers.at_work(), sa.create_engine(url).connect() as connection:
        wait_for(lambda: bool(failed))
        failed_at = time.time()
        beat = sa.text("select max(beat) from dspy_fusion_workers")
        wait_for(lambda: connection.scalar(beat) > failed_at, "it beats no more")
