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
from collections.abc import Sequence
from contextvars import copy_context
from typing import TypeVar

import dspy
from dspy.streaming import StatusMessage

from ..pools.candidates import Candidate
from .attempts import Attempt, current_lineage
from .batches import Batch, Steps, in_order, replayed, without
from .interrupts import let_end, next_of, threads_for
from .leaving import LeftBehind
from .metering import Meter, meters_of
from .status_relay import AwaitedRelay, Tell, teller, telling

T = TypeVar("T")
_Arrival = Candidate | BaseException | StatusMessage


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
    replays = replayed(batch)
    rest = without(batch, replays)
    return in_order(batch, replays, _make_rest(rest) if rest.attempts else [])


def _make_rest(batch: Batch) -> list[Candidate]:
    limited, tell = not current_lineage(), None if _is_streaming(batch.attempts[0]) else teller()
    if len(batch.attempts) == 1 and (batch.deadline_seconds is None or _is_streaming(batch.attempts[0])):
        with telling(tell):
            return [_make_here(batch, Meter(limited=limited))]  # DSPy streams in this thread alone
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
                if not isinstance(error, LeftBehind):
                    waiting.clear()  # nobody would take what comes after it
                arrived.put((i, error))

    threads = threads_for(work, min(len(batch.attempts), batch.max_concurrency or len(batch.attempts)))
    try:
        for thread in threads:
            thread.start()
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
        if _is_late(result, end):
            left += 1
            continue
        if isinstance(result, BaseException):
            raise result
        finished[i] = result
    return [finished.get(i) or _late(batch, i, meters[i]) for i in range(len(batch.attempts))]


def _is_late(result: object, end: float | None) -> bool:
    """Whether an attempt was left behind by its batch's own deadline; before that, nobody waits for the batch."""
    return isinstance(result, LeftBehind) and end is not None and time.monotonic() >= end


def _make_here(batch: Batch, meter: Meter) -> Candidate:
    try:
        return _make(batch, batch.attempts[0], meter)
    except BaseException:  # an interrupt, for one: threads that the module has started make no further call
        meter.give_up()
        raise


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


async def _amake(batch: Batch, attempt: Attempt, meter: Meter) -> Candidate:
    if batch.bank is None or not attempt.key:
        return _in_time(await attempt.amake(meter), batch, meter)
    return _in_time(await batch.bank.adrawn_once(attempt, meter), batch, meter)


async def _amake_all(batch: Batch) -> list[Candidate]:
    replays = await asyncio.to_thread(replayed, batch) if batch.bank is not None else {}
    rest = without(batch, replays)
    return in_order(batch, replays, await _amake_rest(rest) if rest.attempts else [])


async def _amake_rest(batch: Batch) -> list[Candidate]:
    places = asyncio.Semaphore(batch.max_concurrency or len(batch.attempts))
    end = None if batch.deadline_seconds is None else time.monotonic() + batch.deadline_seconds
    meters = meters_of([a.kind for a in batch.attempts], at_once=batch.max_concurrency, limited=False, end=end)
    has_failed = asyncio.Event()

    async def make(attempt: Attempt, meter: Meter) -> Candidate:
        """The candidate, once it has a place; nothing is begun after a failure that ends the batch."""
        async with places:
            if has_failed.is_set():
                raise LeftBehind  # nobody would take what comes after it
            try:
                return await _amake(batch, attempt, meter)
            except BaseException as error:
                if not isinstance(error, LeftBehind):
                    has_failed.set()
                raise

    tell = None if _is_streaming(batch.attempts[0]) else teller()
    relay = None if tell is None else AwaitedRelay(tell)
    with telling(relay and relay.put):
        tasks = [asyncio.create_task(make(*pair)) for pair in zip(batch.attempts, meters, strict=True)]
    try:
        await _all_made(tasks, end)
        late = [not task.done() or _is_late(task.exception(), end) for task in tasks]
        return _wanted([_late(batch, i, meters[i]) if late[i] else task.result() for i, task in enumerate(tasks)])
    except BaseException as error:
        _give_up(meters)
        if relay is not None and not isinstance(error, Exception):
            relay.give_up()
        raise
    finally:
        for task in tasks:
            task.cancel()
        if relay is not None:
            await relay.close()


async def _all_made(tasks: Sequence[asyncio.Task[Candidate]], end: float | None) -> None:
    """Waits for all tasks until the end; what one raises that no other could do better is raised at once."""
    waiting = set(tasks)
    while waiting:
        left = None if end is None else max(0.0, end - time.monotonic())
        done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
        errors = [error for task in done if (error := task.exception()) is not None]
        if serious := [error for error in errors if not _is_late(error, end)]:
            raise next((error for error in serious if not isinstance(error, LeftBehind)), serious[0])
        if not done:
            return


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
