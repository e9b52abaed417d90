"""Making attempts side by side: a fresh set of threads (or tasks) a call, one context each, a quorum and a deadline.

A program's logic is a generator that yields batches of attempts and is sent their candidates back; :func:`run` and
:func:`arun` drive the same generator, so calling a program and awaiting it cannot differ. Threads are daemons: a
hanging server holds up nobody, not even exit.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import dspy
from dspy.streaming import StatusMessage

from ..pools.candidates import Candidate
from .attempts import Attempt, current_lineage
from .interrupts import let_end, next_of, start_threads
from .leaving import LeftBehind
from .metering import Meter, count_replayed, meters_of
from .status_relay import AwaitedRelay, Tell, teller, telling

T = TypeVar("T")
_Arrival = Candidate | BaseException | StatusMessage


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


def run(steps: Steps[T]) -> T:
    """Drives a program's steps with threads."""
    try:
        batch = next(steps)
        while True:
            batch = steps.send(_make_all(batch))
    except StopIteration as finished:
        return finished.value


async def arun(steps: Steps[T]) -> T:
    """Drives a program's steps in the running event loop."""
    try:
        batch = next(steps)
        while True:
            batch = steps.send(await _amake_all(batch))
    except StopIteration as finished:
        return finished.value


def _make_all(batch: Batch) -> list[Candidate]:
    replays = _replayed(batch)
    rest = _without(batch, replays)
    return _in_order(batch, replays, _make_rest(rest) if rest.attempts else [])


def _replayed(batch: Batch) -> Mapping[str, Candidate]:
    """What the bank has of a batch, in one look-up and before any thread starts."""
    wanted = [attempt for attempt in batch.attempts if attempt.key]
    if batch.bank is None or not wanted:
        return {}
    replays = batch.bank.replays(wanted)
    for candidate in replays.values():
        count_replayed(candidate)
    return replays


def _without(batch: Batch, replays: Mapping[str, Candidate]) -> Batch:
    return replace(batch, attempts=[a for a in batch.attempts if a.key not in replays]) if replays else batch


def _in_order(batch: Batch, replays: Mapping[str, Candidate], fresh: Sequence[Candidate]) -> list[Candidate]:
    rest = iter(fresh)
    return [replays[a.key] if a.key in replays else next(rest) for a in batch.attempts]


def _make_rest(batch: Batch) -> list[Candidate]:
    limited, tell = not current_lineage(), None if _is_streaming(batch.attempts[0]) else teller()
    if len(batch.attempts) == 1 and (batch.deadline_seconds is None or _is_streaming(batch.attempts[0])):
        with telling(tell):
            return [_make(batch, batch.attempts[0], Meter(limited=limited))]  # DSPy streams in this thread alone
    end = None if batch.deadline_seconds is None else time.monotonic() + batch.deadline_seconds
    meters = meters_of([a.kind for a in batch.attempts], at_once=batch.max_concurrency, limited=limited, end=end)
    arrived: queue.SimpleQueue[tuple[int, _Arrival]] = queue.SimpleQueue()
    with telling(tell and (lambda message: arrived.put((-1, message)))):
        waiting = deque(
            (i, copy_context(), attempt, meter)
            for i, (attempt, meter) in enumerate(zip(batch.attempts, meters, strict=True))
        )

    def work() -> None:
        """Makes attempts, one after the other, until none waits."""
        while True:
            try:
                i, context, attempt, meter = waiting.popleft()
            except IndexError:
                return
            try:
                arrived.put((i, context.run(_make, batch, attempt, meter)))
            except BaseException as error:  # noqa: BLE001 (handed to the caller, who raises it)
                arrived.put((i, error))

    threads = start_threads(work, min(len(batch.attempts), batch.max_concurrency or len(batch.attempts)))
    try:
        return _wanted(_collect(batch, arrived, meters, end, tell))
    except BaseException as error:  # an interrupt, for one: nobody waits for any of them
        waiting.clear()
        _give_up(meters)
        let_end(threads, error)
        raise
    finally:
        waiting.clear()  # what has not begun by the deadline never begins


def _is_streaming(attempt: Attempt) -> bool:
    return attempt.streams and dspy.settings.send_stream is not None


def _collect(
    batch: Batch,
    arrived: queue.SimpleQueue[tuple[int, _Arrival]],
    meters: list[Meter],
    end: float | None,
    tell: Tell | None,
) -> list[Candidate]:
    finished: dict[int, Candidate] = {}
    left = 0
    while len(finished) + left < len(batch.attempts):
        try:
            i, result = next_of(arrived, end)
        except queue.Empty:
            break
        if isinstance(result, StatusMessage):
            if tell is not None:
                tell(result)
            continue
        if isinstance(result, LeftBehind) and end is not None:
            left += 1
            continue
        if isinstance(result, BaseException):
            raise result
        finished[i] = result
    return [finished.get(i) or _late(batch, i, meters[i]) for i in range(len(batch.attempts))]


def _make(batch: Batch, attempt: Attempt, meter: Meter) -> Candidate:
    if batch.bank is None or not attempt.key:
        return _in_time(attempt.make(meter), batch, meter)
    return _in_time(batch.bank.drawn_once(attempt, meter), batch, meter)


def _in_time(candidate: Candidate, batch: Batch, meter: Meter) -> Candidate:
    """The candidate, unless it failed at its deadline: a client, whose own time limit is over at the same moment, would
    be named as the cause.
    """
    if not candidate.ok and batch.deadline_seconds is not None and meter.is_over():
        raise LeftBehind
    return candidate


async def _amake_all(batch: Batch) -> list[Candidate]:
    replays = await asyncio.to_thread(_replayed, batch) if batch.bank is not None else {}
    rest = _without(batch, replays)
    return _in_order(batch, replays, await _amake_rest(rest) if rest.attempts else [])


async def _amake_rest(batch: Batch) -> list[Candidate]:
    places = asyncio.Semaphore(batch.max_concurrency or len(batch.attempts))
    end = None if batch.deadline_seconds is None else time.monotonic() + batch.deadline_seconds
    meters = meters_of([a.kind for a in batch.attempts], at_once=batch.max_concurrency, limited=False, end=end)

    async def make(attempt: Attempt, meter: Meter) -> Candidate:
        async with places:
            if batch.bank is None or not attempt.key:
                return _in_time(await attempt.amake(meter), batch, meter)
            return _in_time(await batch.bank.adrawn_once(attempt, meter), batch, meter)

    tell = None if _is_streaming(batch.attempts[0]) else teller()
    relay = None if tell is None else AwaitedRelay(tell)
    with telling(relay and relay.put):
        tasks = [asyncio.create_task(make(*pair)) for pair in zip(batch.attempts, meters, strict=True)]
    try:
        await asyncio.wait(tasks, timeout=batch.deadline_seconds)
        late = [not task.done() or (end is not None and isinstance(task.exception(), LeftBehind)) for task in tasks]
        return [_late(batch, i, meters[i]) if late[i] else task.result() for i, task in enumerate(tasks)]
    except BaseException:
        _give_up(meters)
        raise
    finally:
        for task in tasks:
            task.cancel()
        if relay is not None:
            await relay.close()


def _wanted(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates, if anybody still waits for what is made of them."""
    if isinstance(around := dspy.settings.usage_tracker, Meter) and around.is_over():
        raise LeftBehind
    return candidates


def _give_up(meters: Sequence[Meter]) -> None:
    for meter in meters:
        meter.give_up()


def _late(batch: Batch, i: int, meter: Meter) -> Candidate:
    meter.give_up()
    begun = "no answer" if meter.usage.calls else "not begun"
    error = f"DeadlineExceeded: {begun} within {batch.deadline_seconds:g} s"
    return batch.attempts[i].failed(error, meter.usage, batch.deadline_seconds or 0.0)
