"""Asking a model about pairs, several at a time.

What it said is kept in a bank, so that an interrupted check goes on where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

import dspy

from dspy_fusion.programs import CandidateBank, PairVerdict, PairwiseJudge
from dspy_fusion.programs.calls.drawing import run
from dspy_fusion.programs.calls.interrupts import given_up_when_interrupted
from dspy_fusion.programs.errors import ScorerError
from dspy_fusion.programs.pools.candidates import Usage

from .judge_check import Orders
from .pairs import Pair

_FAILURES_TO_GIVE_UP = 12


class Answered(dspy.Signature):
    """Answer the input."""

    input: str = dspy.InputField()
    output: str = dspy.OutputField()


@dataclass(frozen=True)
class Asked:
    """What came of asking a judge about pairs."""

    said: Mapping[str, Orders]
    """What it said, by the pair's id."""
    errors: tuple[str, ...]
    """One text per pair with a verdict that could not be read, in the order of the pairs."""
    usage: Usage
    """What it cost; replayed verdicts count as when they were asked for."""


def ask_about(
    pairs: Sequence[Pair],
    judge: PairwiseJudge,
    *,
    bank: CandidateBank,
    adapter: dspy.Adapter,
    max_concurrency: int = 8,
    on_pair: Callable[[], None] = lambda: None,
) -> Asked:
    """Has a judge compare the answers of every pair.

    Args:
        pairs: what it is asked about.
        judge: a judge of :class:`Answered`.
        bank: where verdicts are kept and replayed from.
        adapter: how it is asked.
        max_concurrency: how many pairs are asked about at a time.
        on_pair: called after each pair, in any thread.

    Raises:
        ScorerError: none of the first pairs got a verdict that can be read; the message has the last cause.
        BankError: the bank cannot be used.
    """
    judge.bank = bank
    watch = _Watch()

    def compare(pair: Pair) -> PairVerdict | None:
        """The verdict on a pair; None after too many failures in a row."""
        if watch.gave_up:
            return None
        verdict = run(judge.steps({"input": pair.input}, pair.a, pair.b))
        watch.see(verdict)
        on_pair()
        return verdict

    with (
        dspy.context(adapter=adapter, trace=None, disable_history=True),
        ThreadPoolExecutor(max_concurrency, "pair") as threads,
        given_up_when_interrupted(),
    ):
        futures = [threads.submit(copy_context().run, compare, pair) for pair in pairs]
        try:
            verdicts = [future.result() for future in futures]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # whoever began the threads waits for them
    if watch.gave_up:
        raise ScorerError(
            f"no verdict on the first {_FAILURES_TO_GIVE_UP} pairs can be read; the last cause: {watch.last_error}"
        )
    answers = [(pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is not None]
    return Asked(
        {pair.id: verdict.orders for pair, verdict in answers},
        tuple(f"{pair.id}: {verdict.error}" for pair, verdict in answers if verdict.error),
        Usage.total(verdict.usage for _, verdict in answers),
    )


class _Watch:
    """Whether the judge works at all."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readable = self.failed = 0
        self.last_error = ""

    @property
    def gave_up(self) -> bool:
        return not self.readable and self.failed >= _FAILURES_TO_GIVE_UP

    def see(self, verdict: PairVerdict) -> None:
        """Counts a verdict."""
        with self.lock:
            if verdict.error is None:
                self.readable += 1
            else:
                self.failed += 1
                self.last_error = verdict.error
