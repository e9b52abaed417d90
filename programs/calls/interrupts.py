"""What an interrupt means for calls that are under way: they may end for a moment, then nobody waits for them.

Threads hear nothing of Ctrl-C, which Python hands to the main thread alone; whoever has started them waits for their
end, and a call of a server that hangs has none.
"""

from __future__ import annotations

import math
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")
GRACE_SECONDS = 2.0
"""How long answers that are under way, and paid for, may still come."""


_SECONDS_TO_END = 1.0  # for a thread whose connections are closed
_LOOK_SECONDS = 0.5


class Metered(Protocol):
    """What is told that nobody waits: a ``Meter``."""

    def give_up(self) -> None:
        """Ends what is under way."""
        ...


class _Work:
    """What is metered within one block and the blocks in it."""

    def __init__(self, around: _Work | None) -> None:
        self._around = around
        self._meters: weakref.WeakSet[Metered] = weakref.WeakSet()
        self._lock, self._is_over = threading.Lock(), False

    def add(self, meter: Metered) -> None:
        """Makes a meter part of this block and of those around it; one that comes after the end is given up."""
        with self._lock:
            self._meters.add(meter)
            is_over = self._is_over
        if is_over:
            meter.give_up()
        if self._around is not None:
            self._around.add(meter)

    def give_up(self) -> None:
        """Lets nobody wait for what the meters count any more."""
        with self._lock:
            self._is_over, meters = True, list(self._meters)
        for meter in meters:
            meter.give_up()


_work: ContextVar[_Work | None] = ContextVar("dspy_fusion_interruptible", default=None)


def join(meter: Metered) -> None:
    """Makes a meter part of the block around it, if there is one."""
    if (work := _work.get()) is not None:
        work.add(meter)


@contextmanager
def given_up_when_interrupted() -> Iterator[None]:
    """A block in which threads are waited for: an interrupt leaves their calls two seconds to end.

    After that every call of a model that began in the context of the block is given up: its connection is ended, and
    the program that made it ends without an answer, which nobody takes for a failed one.
    """
    work = _Work(_work.get())
    token = _work.set(work)
    try:
        yield
    except KeyboardInterrupt:
        late = threading.Timer(GRACE_SECONDS, work.give_up)
        late.daemon = True
        late.start()
        raise
    finally:
        _work.reset(token)


def threads_for(work: Callable[[], None], count: int) -> list[threading.Thread]:
    """So many threads that will do ``work``; none of them keeps the process from ending."""
    return [threading.Thread(target=work, daemon=True, name="dspy-fusion") for _ in range(count)]


def next_of(arrived: queue.SimpleQueue[T], end: float | None) -> T:
    """What arrives next in a queue; ``queue.Empty`` when the time is over, by ``time.monotonic()``.

    The system may give an interrupt to another thread than the main one, which then hears of it only when it stops
    waiting.
    """
    while True:
        left = math.inf if end is None else max(0.0, end - time.monotonic())
        try:
            return arrived.get(timeout=min(left, _LOOK_SECONDS))
        except queue.Empty:
            if left <= _LOOK_SECONDS:
                raise


def let_end(threads: Sequence[threading.Thread], error: BaseException) -> None:
    """After an interrupt, waits a moment for threads whose connections were closed.

    A process that ends while one of them is in the middle of an import never gets to its end: libraries import as they
    are taken down, and wait for the lock of an import that nobody finishes.
    """
    if isinstance(error, Exception):
        return
    end = time.monotonic() + _SECONDS_TO_END
    for thread in threads:
        if thread.ident is not None:  # it has begun
            thread.join(max(0.0, end - time.monotonic()))
