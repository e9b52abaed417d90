"""A limit on calls at once that threads and event loops of one process wait for together, first come, first served.

It is held around one call to a model and by nothing that makes further calls, so programs inside programs cannot wait
for each other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TypeAlias, TypeVar

import dspy

from dspy_fusion.programs.calls.leaving import LeftBehind
from dspy_fusion.programs.calls.metering import Meter

T = TypeVar("T")

Place: TypeAlias = "Future[None]"


class Places:
    """So many places; None for any number.

    Example:
        A thread calls ``place = places.ask()`` and ``place.result()``, a coroutine awaits
        ``asyncio.wrap_future(place)``; both call ``places.give_back(place)`` in the end, whether they got it or not.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.taken = 0
        self._queue: deque[Place] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    @property
    def has_room(self) -> bool:
        """Whether the next one to ask gets a place at once."""
        return self.limit is None or self.taken < self.limit

    def ask(self) -> Place:
        """A future that is done when the place is there."""
        place: Place = Future()
        with self._lock:
            if self.has_room:
                self._grant(place)
            else:
                self._queue.append(place)
        return place

    def give_back(self, place: Place) -> None:
        """Gives a place to the next in the queue, or the wait for one up."""
        with self._lock:
            if place.cancel() or place.cancelled():
                if place in self._queue:
                    self._queue.remove(place)
                return
            self.taken -= 1
            while self._queue and self.has_room:
                self._grant(self._queue.popleft())

    def _grant(self, place: Place) -> None:
        if place.set_running_or_notify_cancel():
            self.taken += 1
            place.set_result(None)


def wait_while_wanted(future: Future[T]) -> T:
    """The result of a future, waited for no longer than somebody waits for the attempt that this call belongs to.

    Raises:
        LeftBehind: nobody waits any more.
    """
    end = getattr(dspy.settings.usage_tracker, "end", None)
    try:
        return future.result(None if end is None else max(0.0, end - time.monotonic()))
    except TimeoutError:
        if future.done():
            raise  # the result is an error of that kind
        raise LeftBehind from None


def is_left_behind() -> bool:
    """Whether nobody waits any more for the attempt that this call belongs to: its errors then say nothing of a server,
    for its connection was ended from here.
    """
    return isinstance(tracker := dspy.settings.usage_tracker, Meter) and tracker.is_over()
