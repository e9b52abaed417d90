"""Sixteen threads at a server of which three answers in ten are faulty: right or typed all the time,
billed to the token, and flat.

The long form is ``pytest -m long tests/faults/test_soak.py -s``.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import dspy
import pytest
from waiting import wait_for

from dspy_fusion.programs import FusionError
from dspy_fusion.programs.calls.metering import Meter

from .conftest import FAULTS, PROGRAMS, SLOW_FAULTS, TASK, lm_at, workers
from .faulty_server import FaultyServer, Log

THREADS = 16
DEADLINE = 3.0


@dataclass
class Soak:
    """What came of it: endings by kind, and megabytes, threads but for litellm's own, and files, once a second."""

    endings: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, ending: str, seconds: float) -> None:
        with self.lock:
            self.endings[ending] += 1
            self.slowest = max(self.slowest, seconds)

    def sample(self) -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        self.samples.append((resident, threads(), len(os.listdir("/proc/self/fd"))))

    def quarters(self, what: int) -> tuple[float, float]:
        """The second quarter's most, and the last quarter's median."""
        values, size = [sample[what] for sample in self.samples], len(self.samples) // 4
        return max(values[size : 2 * size]), median(values[-size:])


def threads() -> int:
    """How many threads there are.

    Litellm adds to a pool for its log, which has 100 at most and never fewer than it had, whatever we do.
    """
    return sum(not thread.name.startswith("litellm-logging") for thread in threading.enumerate())


def one_call(program: dspy.Module, number: int, soak: Soak) -> None:
    started = time.monotonic()
    try:
        prediction = program(question=f"what is {number}")
        right = prediction.answer.startswith(f"right {number}") and prediction.count == number
        ending = "wrong" if not right else "fallback" if prediction.pool.fallback else "right"
    except FusionError as error:
        ending = type(error).__name__
    soak.add(ending, time.monotonic() - started)


def run(server: FaultyServer, seconds: float, engine: str) -> tuple[Soak, Meter]:
    """Calls programs from all threads until the time is over."""
    server.log = Log()
    server.chaos(0.3, 7, (*FAULTS, *SLOW_FAULTS))
    soak, meter, end = Soak(), Meter(limited=False), time.monotonic() + seconds
    programs = [make(dspy.Predict(TASK), deadline_seconds=DEADLINE) for make in PROGRAMS.values()]
    lm = lm_at(server, engine, num_retries=1)

    def work(place: int) -> None:
        rng = random.Random(place)
        with dspy.context(lm=lm, usage_tracker=meter, disable_history=True, trace=None):
            while time.monotonic() < end:
                one_call(rng.choice(programs), rng.randrange(1000), soak)

    with ThreadPoolExecutor(THREADS) as threads:
        working = [threads.submit(work, place) for place in range(THREADS)]
        while time.monotonic() < end:
            soak.sample()
            time.sleep(min(1.0, seconds / 20))
        for future in working:
            future.result()
    wait_for(lambda: workers() == 0, "threads are left", seconds=20)
    return soak, meter


def check(soak: Soak, meter: Meter, log: Log) -> None:
    assert soak.endings["wrong"] == 0, soak.endings
    assert soak.endings["right"] > sum(soak.endings.values()) / 2, soak.endings
    assert set(soak.endings) <= {"right", "fallback", "wrong", "QuorumNotMet", "FusorFailed", "ScorerError"}
    assert soak.slowest < 3 * DEADLINE + 30  # three rounds, and sixteen threads that share the interpreter
    for counted, billed in ((meter.usage.tokens_in, log.tokens_in), (meter.usage.tokens_out, log.tokens_out)):
        assert (
            0.99 * billed <= counted <= billed
        )  # an answer that was sent while its reader gave up is on the server's bill alone


def test_sixteen_threads_survive_a_faulty_server(server: FaultyServer) -> None:
    before = threads()
    soak, meter = run(server, 10, "lm15")
    check(soak, meter, server.log)
    assert threads() <= before


@pytest.mark.long
@pytest.mark.parametrize("engine", ["lm15", "litellm"])
def test_ten_minutes_leave_nothing_behind(server: FaultyServer, engine: str) -> None:
    seconds = float(os.environ.get("DSPY_FUSION_SOAK_SECONDS", "600"))
    run(server, 20, engine)
    before = threads()
    soak, meter = run(server, seconds, engine)
    left = threads()
    lines = [
        (
            f"{engine}: {sum(soak.endings.values())} calls in {seconds:g} s, {dict(soak.endings)}, slowest"
            f" {soak.slowest:.1f} s"
        ),
        f"{server.log.requests} requests, {server.log.requests - server.log.faults['']} of them with faults",
        (
            "most in the second quarter and median of the last (MB, threads, files):"
            f" {[soak.quarters(what) for what in range(3)]}"
        ),
        f"once a minute: {[tuple(round(value) for value in sample) for sample in soak.samples[::60]]}",
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    check(soak, meter, server.log)
    assert left <= before
    for what in range(3):
        early, late = soak.quarters(what)
        assert late <= 1.1 * early
