"""How fast a bank replays: one look-up a batch before any thread starts, beside a thread and a look-up an attempt.

``python -m benchmarks.bank`` prints candidates a second of both ways, in turns over the same bank, and their ratio.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from pathlib import Path

import dspy

from dspy_fusion.programs import Candidate, CandidateBank, Vote
from dspy_fusion.programs.calls.attempts import Attempt
from dspy_fusion.programs.calls.drawing import Batch, Steps, run
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.serving import embedded_lm


def main() -> None:
    """Fills a bank, replays it both ways, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, dspy.context(lm=embedded_lm("aft")):
        bank = CandidateBank(Path(folder) / "bank.db")
        program = Vote(dspy.Predict("question -> answer"), n=arguments.n, bank=bank)
        inputs = [{"question": f"question {number}"} for number in range(arguments.questions)]
        for one in inputs:
            bank.fill(program.attempts(one, arguments.n), [{"answer": f"answer {i} " * 40} for i in range(arguments.n)])
        batches = [program.attempts(one, arguments.n) for one in inputs]
        rates: dict[str, list[float]] = {"a thread and a look-up an attempt": [], "one look-up a batch": []}
        for _ in range(arguments.rounds):
            for way, replay in zip(rates, (_by_threads, _by_batch), strict=True):
                rates[way].append(_rate(batches, lambda attempts, replay=replay: replay(bank, attempts)))
    for way, values in rates.items():
        print(f"{statistics.median(values):8.0f} candidates/s  {way}")
    old, new = (statistics.median(values) for values in rates.values())
    print(f"{new / old:8.1f} times as fast")


def _rate(batches: Sequence[list[Attempt]], replay: Callable[[list[Attempt]], list[Candidate]]) -> float:
    started = time.perf_counter()
    replays = [candidate for attempts in batches for candidate in replay(attempts)]
    seconds = time.perf_counter() - started
    if not all(candidate.replayed for candidate in replays):
        raise SystemExit("a candidate was not replayed")
    return len(replays) / seconds


def _by_threads(bank: CandidateBank, attempts: list[Attempt]) -> list[Candidate]:
    """As programs did it before: every attempt has its thread, its meter and its look-up."""
    candidates: dict[int, Candidate] = {}

    def look_up(place: int, attempt: Attempt) -> None:
        candidates[place] = bank.drawn_once(attempt, Meter(limited=True))

    threads = [
        threading.Thread(target=copy_context().run, args=(look_up, place, attempt), daemon=True)
        for place, attempt in enumerate(attempts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [candidates[place] for place in range(len(attempts))]


def _by_batch(bank: CandidateBank, attempts: list[Attempt]) -> list[Candidate]:
    """As programs do it."""

    def steps() -> Steps[list[Candidate]]:
        return (yield Batch(attempts, bank=bank))

    return run(steps())


if __name__ == "__main__":
    main()
