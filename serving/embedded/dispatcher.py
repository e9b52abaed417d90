"""Where a job is worked on: in this process while there is little to do, else in processes, one a core.

Threads would not do. The steps of so small a model are short, and each of them waits for the interpreter's lock behind
whatever the program does: on two cores, two threads got less done than one. What a job's answer is does not depend on
where it is made.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections import deque
from concurrent.futures import CancelledError, Future

from dspy_fusion.programs.redaction import redacting

from .jobs import Answer
from .lane import Errand, Lane
from .worker import Worker

MOST_LANES = (
    4  # a program's own work on a request takes about a quarter of the model's, so it keeps no more of them busy
)
JOBS_BEFORE_LANES = 64  # starting two processes costs about as much as so many answers
_UNDER_WAY_BEFORE_LANES = 4
_JOBS_A_PLACE = 64  # as many as a batch has slots
_DEATHS_OF_AN_ERRAND, _DEATHS_OF_LANES = 2, 4
_ENDED = "the process ended before the answer was finished"

_log = redacting(logging.getLogger(__name__))


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Dispatcher:
    """Sends jobs to lanes. Thread-safe.

    Lanes are started when this process has had ``jobs_before_lanes`` jobs and several are under way, if it may use more
    than one core; until they are ready, and where none can be started, its own thread works. The child of a fork begins
    anew, with nothing started. A lane that dies is replaced, and its jobs are begun again elsewhere.

    Args:
        lanes: how many lanes; None takes one a core, at most ``MOST_LANES``, and none where there is one core.
        jobs_before_lanes: how many jobs this process works on by itself first.
    """

    def __init__(self, *, lanes: int | None = None, jobs_before_lanes: int = JOBS_BEFORE_LANES) -> None:
        self.lanes, self._jobs_before_lanes = lanes, jobs_before_lanes
        self._worker = Worker()
        self._lanes: list[Lane] = []
        self._reset()
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_to_parent)

    def submit(self, errand: Errand) -> None:
        """Sees to it that the answer of an errand's job is set."""
        with self._change:
            self._submitted += 1
            self._under_way += 1
            self._waiting.append(errand)
            self._start_lanes()
        errand.job.answer.add_done_callback(self._count_done)
        self._feed()

    def stop(self) -> None:
        """Ends all lanes and the thread; their jobs fail, and those that wait. The next job begins anew."""
        with self._change:
            lanes, self._is_stopping = list(self._lanes), True
        for lane in lanes:
            lane.stop()
        self._worker.stop()
        while left := self._given_up():
            for errand in left:
                errand.job.fail(RuntimeError(_ENDED))

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes of the lanes that are ready."""
        with self._change:
            return tuple(lane.process_id for lane in self._lanes if lane.is_ready)

    def _given_up(self) -> list[Errand]:
        """What still waits; once nothing does, all begins anew."""
        with self._change:
            left = list(self._waiting)
            self._waiting.clear()
            if not left:
                self._begin_anew()
            return left

    def _reset(self) -> None:
        self._change = threading.RLock()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._waiting: deque[Errand] = deque()
        self._lanes = []
        self._submitted = self._under_way = self._here = self._deaths = 0
        self._is_stopping = False

    def _leave_to_parent(self) -> None:
        for lane in self._lanes:
            lane.forget()
        self._reset()

    def _start_lanes(self) -> None:
        if self._submitted <= self._jobs_before_lanes or self._under_way < _UNDER_WAY_BEFORE_LANES:
            return
        while len(self._lanes) < self._wanted and self._deaths < _DEATHS_OF_LANES and not self._is_stopping:
            try:
                self._lanes.append(Lane(self._feed, self._lane_ended))
            except OSError as error:  # no more processes, say
                self._deaths = _DEATHS_OF_LANES
                _log.warning("embedded models stay on one core: no further process can be started (%s)", error)

    @property
    def _wanted(self) -> int:
        if os.name != "posix" or not sys.executable or getattr(sys, "frozen", False):
            return 0
        cores = usable_cores()
        return self.lanes if self.lanes is not None else min(cores, MOST_LANES) if cores > 1 else 0

    def _feed(self) -> None:
        """Hands out what waits, as far as there is room."""
        cancelled = []
        with self._change:
            while self._waiting and not self._is_stopping:
                if self._waiting[0].job.is_cancelled:
                    cancelled.append(self._waiting.popleft())
                elif not self._handed_out(self._waiting[0]):
                    break
                else:
                    self._waiting.popleft()
        for errand in cancelled:
            errand.job.fail(CancelledError())

    def _handed_out(self, errand: Errand) -> bool:
        ready = [lane for lane in self._lanes if lane.is_ready]
        free = [lane for lane in ready if lane.load < _JOBS_A_PLACE]
        if free:
            return any(lane.send(errand) for lane in sorted(free, key=lambda lane: lane.cost(errand)))
        if not ready and self._here < _JOBS_A_PLACE:
            self._here += 1
            errand.job.answer.add_done_callback(self._count_here)
            self._worker.submit(errand.job, errand.make_batch)
            return True
        return False

    def _count_here(self, _: Future[Answer]) -> None:
        with self._change:
            self._here -= 1

    def _count_done(self, _: Future[Answer]) -> None:
        with self._change:
            self._under_way -= 1
        self._feed()

    def _lane_ended(self, lane: Lane, left: list[Errand]) -> None:
        error = RuntimeError(_ENDED)
        with self._change:
            if lane in self._lanes:
                self._lanes.remove(lane)
            if not self._is_stopping:
                self._deaths += 1
                error = RuntimeError(f"{_DEATHS_OF_AN_ERRAND} processes ended while they worked on this answer")
                for errand in left:
                    errand.deaths += 1
                again = [errand for errand in left if errand.deaths < _DEATHS_OF_AN_ERRAND]
                self._waiting.extendleft(reversed(again))
                left = [errand for errand in left if errand.deaths >= _DEATHS_OF_AN_ERRAND]
                self._start_lanes()
            else:
                left += self._waiting
                self._waiting.clear()
        for errand in left:
            errand.job.fail(error)
        self._feed()


dispatcher = Dispatcher()
"""The process's dispatcher."""
