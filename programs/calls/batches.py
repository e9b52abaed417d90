"""Batches: attempts that a program has made side by side, and what a bank has of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from ..pools.candidates import Candidate
from .attempts import Attempt
from .metering import Meter, count_replayed

T = TypeVar("T")


class Bank(Protocol):
    """What a batch asks of a bank; ``CandidateBank`` is one."""

    def replays(self, attempts: Sequence[Attempt]) -> Mapping[str, Candidate]:
        """The kept candidates of these attempts, by key, looked up together."""
        ...

    def drawn_once(self, attempt: Attempt, meter: Meter) -> Candidate:
        """The kept candidate of an attempt, or a new one, which is kept."""
        ...

    async def adrawn_once(self, attempt: Attempt, meter: Meter) -> Candidate:
        """As :meth:`drawn_once`."""
        ...


@dataclass(frozen=True)
class Batch:
    """Attempts that may run side by side.

    Attributes:
        attempts: what is called; candidates come back in this order, whatever order they arrive in.
        deadline_seconds: wall time after which unfinished attempts are left behind and count as failed; None waits for
            all. A call that is being streamed is waited for.
        max_concurrency: how many run at once; None for all of them.
        bank: where finished candidates are looked up first and kept.
    """

    attempts: Sequence[Attempt]
    deadline_seconds: float | None = None
    max_concurrency: int | None = None
    bank: Bank | None = None


Steps = Generator[Batch, list[Candidate], T]


def replayed(batch: Batch) -> Mapping[str, Candidate]:
    """What the bank has of a batch, in one look-up and before any thread starts."""
    wanted = [attempt for attempt in batch.attempts if attempt.key]
    if batch.bank is None or not wanted:
        return {}
    replays = batch.bank.replays(wanted)
    for candidate in replays.values():
        count_replayed(candidate)
    return replays


def without(batch: Batch, replays: Mapping[str, Candidate]) -> Batch:
    """What is left to be made of a batch."""
    return replace(batch, attempts=[a for a in batch.attempts if a.key not in replays]) if replays else batch


def in_order(batch: Batch, replays: Mapping[str, Candidate], fresh: Sequence[Candidate]) -> list[Candidate]:
    """All candidates of a batch: what its bank had, and the rest as it was made."""
    rest = iter(fresh)
    return [replays[a.key] if a.key in replays else next(rest) for a in batch.attempts]
