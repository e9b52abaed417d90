"""The one thread of this process that works for all embedded models, a step at a time in turn.

It starts with the first request and then sleeps.

It holds BLAS at one thread while it works, because products as small as ours only lose by more (up
to forty times, on busy cores).
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable

from threadpoolctl import ThreadpoolController

from .batching import Batch
from .jobs import Job

MakeBatch = Callable[[], Batch]


class Worker:
    """Runs jobs that any number of threads send it, those of one model together in one batch.

    Its thread is a daemon that is stopped before the interpreter is taken down; a fork's child begins without one. A
    fork waits for the thread to be between two steps: BLAS has locks of its own, which a child would inherit as they
    are and wait for without end.
    """

    def __init__(self) -> None:
        self._reset()
        atexit.register(self.stop)
        os.register_at_fork(
            before=lambda: self._computing.acquire(),
            after_in_parent=lambda: self._computing.release(),
            after_in_child=self._reset,
        )

    def submit(self, job: Job, make_batch: MakeBatch) -> None:
        """Queues a job; its answer is set when it is done. Jobs with the same ``make_batch`` share a batch."""
        with self._change:
            if self._thread is None:
                self._is_stopping = False
                self._thread = threading.Thread(target=self._run, name="embedded-models", daemon=True)
                self._thread.start()
            self._queues.setdefault(make_batch, deque()).append(job)
            self._change.notify()

    def stop(self) -> None:
        """Ends the thread after its current step; jobs under way fail. The next job starts a new thread."""
        with self._change:
            thread, self._is_stopping = self._thread, True
            self._change.notify()
        if thread is not None:
            thread.join()

    def _reset(self) -> None:
        self._change = threading.Condition()
        self._computing = threading.Lock()
        self._queues: dict[MakeBatch, deque[Job]] = {}
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    def _run(self) -> None:
        batches: dict[MakeBatch, Batch] = {}
        blas = ThreadpoolController()
        while self._wait():
            with self._computing:
                limited = blas.limit(limits=1, user_api="blas")
            while busy := self._admit(batches):
                for batch in busy:
                    with self._computing:
                        _step(batch)
            with self._computing:
                limited.restore_original_limits()
        self._abandon(batches)

    def _wait(self) -> bool:
        with self._change:
            self._change.wait_for(lambda: any(self._queues.values()) or self._is_stopping)
            return not self._is_stopping

    def _admit(self, batches: dict[MakeBatch, Batch]) -> list[Batch]:
        """Moves what is queued into the batches and returns those that have work."""
        with self._change:
            for make_batch, queue in self._queues.items():
                batch = batches.get(make_batch) or batches.setdefault(make_batch, make_batch())
                for _ in range(min(batch.free_slots, len(queue))):
                    batch.add(queue.popleft())
            return [] if self._is_stopping else [batch for batch in batches.values() if not batch.is_idle]

    def _abandon(self, batches: dict[MakeBatch, Batch]) -> None:
        error = RuntimeError("the process ended before the answer was finished")
        with self._change:
            queued = [job for queue in self._queues.values() for job in queue]
            self._queues.clear()
            self._thread = None
        for job in queued:
            job.fail(error)
        for batch in batches.values():
            batch.fail(error)


def _step(batch: Batch) -> None:
    try:
        batch.step()
    except Exception as error:  # noqa: BLE001 (every sender gets it, and the thread lives on for the next ones)
        batch.fail(error)
