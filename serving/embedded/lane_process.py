"""The process that works on a lane's jobs: it answers what comes over its pipe, and ends when the pipe does.

It needs numpy and a tokenizer, and neither DSPy nor the program of its user.
"""

from __future__ import annotations

import os
import pickle
import select
from functools import partial
from multiprocessing.connection import Connection

from threadpoolctl import threadpool_limits

from .batching import Batch
from .jobs import Job
from .lane_messages import Begin, Cancel, Drawn, Event, Failed, Finished, Load, Order, Ready
from .tokenizer import ChatTokenizer

_SECONDS_BETWEEN_LOOKS = 2.0  # at who the parent is


def work(descriptor: int) -> None:
    """Works until the other end of the socket ``descriptor`` is closed or its process is gone."""
    threadpool_limits(1, user_api="blas")  # products as small as ours only lose by more
    with Connection(descriptor) as pipe:
        try:
            _Desk(pipe).run(os.getppid())
        except (EOFError, OSError):
            return  # nobody is left to tell


class _Desk:
    """The models, the jobs under way, and what is to be told of them after the current step."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._models: dict[str, tuple[Batch, ChatTokenizer]] = {}
        self._jobs: dict[int, Job] = {}
        self._events: list[Event] = [Ready()]
        self._orders = select.poll()  # a connection's own poll() makes one each time
        self._orders.register(pipe, select.POLLIN)

    def run(self, parent: int) -> None:
        """Takes orders and draws tokens in turn."""
        while os.getppid() == parent:
            if self._events:
                self._pipe.send_bytes(_pickled(self._events))
                self._events = []
            busy = [batch for batch, _ in self._models.values() if not batch.is_idle]
            patience = 0.0 if busy else _SECONDS_BETWEEN_LOOKS
            while self._orders.poll(1000 * patience):
                self._take(self._pipe.recv())
                patience = 0.0
            for batch in busy:
                self._step(batch)

    def _take(self, order: Order) -> None:
        match order:
            case Load(model, checkpoint, tokenizer):
                chat = ChatTokenizer.from_json(tokenizer)
                self._models[model] = Batch.of(checkpoint, chat.end), chat
            case Begin():
                self._begin(order)
            case Cancel(number):
                if number in self._jobs:
                    self._jobs[number].cancel()

    def _begin(self, order: Begin) -> None:
        batch, tokenizer = self._models[order.model]
        tell = partial(self._drawn, order.number) if order.streamed else None
        job = self._jobs[order.number] = Job(order.prompt, order.sampling, tokenizer.decode, tell)
        job.answer.add_done_callback(lambda _: self._ended(order.number))
        batch.add(job)

    def _drawn(self, number: int, count: int) -> None:
        job = self._jobs[number]
        self._events.append(Drawn(number, count, job.tokens[-1], job.scores[-1] if job.scores else None))

    def _ended(self, number: int) -> None:
        answer = self._jobs.pop(number).answer
        error = answer.exception()
        self._events.append(Finished(number, answer.result()) if error is None else Failed(number, error))

    def _step(self, batch: Batch) -> None:
        try:
            batch.step()
        except Exception as error:  # noqa: BLE001 (every sender gets it, and the process lives on for the next ones)
            batch.fail(error)


def _pickled(events: list[Event]) -> bytes:
    try:
        return pickle.dumps(events)
    except Exception:  # noqa: BLE001 (an error of a library may not travel; its text does)
        plain = [Failed(e.number, RuntimeError(repr(e.error))) if isinstance(e, Failed) else e for e in events]
        return pickle.dumps(plain)
