"""Gathering calls that differ in nothing but their seed for a moment, so that one request can answer all of them.

Threads and event loops gather together. Whoever comes first to a closed door opens it and leads: it waits while others
still come, makes the one request, and hands each of them its part.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import dspy

from dspy_fusion.programs.calls.metering import Meter

from .places import is_left_behind

_PAUSE_SECONDS, _LONGEST_SECONDS, _LONGEST_SECONDS_FOR_SIBLINGS = 0.01, 0.1, 0.3


class Group:
    """The calls that one leader answers.

    A future for each of the others, whose result is None where it must ask by itself.

    ``tags`` holds what each of the others said of itself when it joined.
    """

    def __init__(self, most: float = math.inf) -> None:
        self._most = most
        self.others: list[Future[Any]] = []
        self.tags: list[Any] = []

    def pauses(self) -> Iterator[float]:
        """The seconds that the leader sleeps, one pause after another.

        Where it is known how many attempts make this call together, until they are there, else until nobody came
        during a pause.
        """
        expected = min(_calls_like_this(), self._most)
        yield from self._until_quiet() if expected < 2 else self._until(expected)

    def _until_quiet(self) -> Iterator[float]:
        count, end = -1, time.monotonic() + _LONGEST_SECONDS
        while len(self.others) > count and time.monotonic() < end:
            count = len(self.others)
            yield _PAUSE_SECONDS

    def _until(self, expected: float) -> Iterator[float]:
        end = time.monotonic() + _LONGEST_SECONDS_FOR_SIBLINGS
        while 1 + len(self.others) < expected and time.monotonic() < end:
            yield _PAUSE_SECONDS / 5

    def hand_out(self, parts: Sequence[Any]) -> None:
        """Gives each of the others its part, and None to those for whom there is none."""
        for place, other in enumerate(self.others):
            if other.set_running_or_notify_cancel():
                other.set_result(parts[place] if place < len(parts) else None)

    def fail(self, error: BaseException) -> None:
        """Gives all the others the error of the request.

        Where it was not made (the leader was cancelled), or was ended because nobody waits for the leader, each asks by
        itself.
        """
        if not isinstance(error, Exception) or is_left_behind():
            return self.hand_out(())
        for other in self.others:
            if other.set_running_or_notify_cancel():
                other.set_exception(error)
        return None


class Gathering:
    """Open groups by what their calls have in common.

    Args:
        most: how many calls can come at once; None for any number.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._open: dict[str, Group] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Gathering], tuple[int | None]]:
        return Gathering, (self._most,)

    def join(self, key: str, tag: Any = None) -> Group | Future[Any]:
        """A new group, for the caller to lead and to :meth:`close`, or a future in an open one."""
        with self._lock:
            if key not in self._open:
                self._open[key] = Group(self._most or math.inf)
                return self._open[key]
            place: Future[Any] = Future()
            self._open[key].others.append(place)
            self._open[key].tags.append(tag)
            return place

    def close(self, key: str, group: Group) -> None:
        """Lets nobody else join the group."""
        with self._lock:
            if self._open.get(key) is group:
                del self._open[key]


def _calls_like_this() -> int:
    tracker = dspy.settings.usage_tracker
    return tracker.calls_like_this if isinstance(tracker, Meter) else 1
