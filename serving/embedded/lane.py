"""A lane: one process that works on jobs, as the process that started it sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue

from .jobs import Job
from .lane_messages import Begin, Cancel, Drawn, Event, Failed, Finished, Load, Order, Ready
from .worker import MakeBatch

_NEWCOMER, _PROMPT_TOKENS = 8, 8  # a lane's first job of a model weighs so many jobs; so many tokens to read weigh one
_PROMPTS_KNOWN = 64
_START = "import sys; from dspy_fusion.serving.embedded.lane_process import work; work(int(sys.argv[1]))"


@dataclass(eq=False)
class Errand:
    """A job with all that is needed to begin it anywhere.

    Attributes:
        job: the request.
        model: stands for its model.
        load: what a lane is told of that model before its first job.
        make_batch: makes the model's batch in this process.
        deaths: how many lanes ended while they were at it.
    """

    job: Job
    model: str
    load: Callable[[], Load]
    make_batch: MakeBatch
    deaths: int = 0


class Lane:
    """Starts the process, sends it jobs and sets their answers.

    The process ends with this one, however that ends: it reads from a pipe whose other end is only here. It is started
    afresh, not forked, so it holds no lock of this process and no thread of it. Two threads attend to it, since it and
    this process would wait for each other if one thread both wrote and read.

    Args:
        on_ready: is called once, in the lane's thread, when the process can take jobs.
        on_end: is called once, in the lane's thread, when the process has ended, with the errands it left undone.
    """

    def __init__(self, on_ready: Callable[[], None], on_end: Callable[[Lane, list[Errand]], None]) -> None:
        self.is_ready = self._has_ended = False
        self._on_ready, self._on_end = on_ready, on_end
        self._numbers = count()
        self._errands: dict[int, Errand] = {}
        self._models: set[str] = set()
        self._prompts: OrderedDict[tuple[str, tuple[int, ...]], None] = OrderedDict()
        self._change = threading.Lock()
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._pipe, self._process = _started()
        self._reader = threading.Thread(target=self._read, name="embedded-lane", daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, name="embedded-orders", daemon=True).start()

    @property
    def process_id(self) -> int:
        """The process's."""
        return self._process.pid

    @property
    def load(self) -> int:
        """How many jobs it is at."""
        return len(self._errands)

    def cost(self, errand: Errand) -> float:
        """How much work it has, with what this errand would add here and not elsewhere: lower is better."""
        key = errand.model, errand.job.prompt
        with self._change:
            at_it = Counter(other.model for other in self._errands.values())
            reading = 0 if key in self._prompts else len(errand.job.prompt) / _PROMPT_TOKENS
        return at_it.total() + reading + (0 if at_it[errand.model] else _NEWCOMER)

    def send(self, errand: Errand) -> bool:
        """Hands an errand over; its answer is set, or it is among those that ``on_end`` gets. Never waits.

        Returns:
            False where the lane takes nothing any more, since its process has ended.
        """
        job, number = errand.job, next(self._numbers)
        with self._change:
            if self._has_ended:
                return False
            self._errands[number] = errand
            self._prompts[errand.model, job.prompt] = None
            self._prompts.move_to_end((errand.model, job.prompt))
            if len(self._prompts) > _PROMPTS_KNOWN:
                self._prompts.popitem(last=False)
            if errand.model not in self._models:
                self._models.add(errand.model)
                self._orders.put(errand.load())
            self._orders.put(Begin(number, errand.model, job.prompt, job.sampling, job.is_streamed))
        job.on_cancel = lambda: self._orders.put(Cancel(number))
        if job.is_cancelled:
            job.on_cancel()
        return True

    def stop(self) -> None:
        """Ends the process and returns when ``on_end`` has returned."""
        self._process.kill()
        self._reader.join()

    def forget(self) -> None:
        """Closes this process's end of the pipe without a word; for the child of a fork, whose lane this is not."""
        self._pipe.close()
        self._process.returncode = 0  # it is no child of this process, which is not to wait for it

    def _write(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                self._pipe.send(order)
            except OSError:  # the process is gone: the thread that reads sees that too, and deals with its jobs
                return

    def _read(self) -> None:
        try:
            while True:
                for event in self._pipe.recv():
                    self._take(event)
        except (EOFError, OSError):
            self._process.kill()
            self._process.wait()
        self._orders.put(None)
        with self._change:
            undone, self._has_ended = list(self._errands.values()), True
            self._errands.clear()
        self._on_end(self, undone)

    def _take(self, event: Event) -> None:
        match event:
            case Ready():
                self.is_ready = True
                self._on_ready()
            case Drawn(number, at, token, score):
                self._errands[number].job.follow(at, token, score)
            case Finished(number, answer):
                self._done(number).finish(answer)
            case Failed(number, error):
                self._done(number).fail(error)

    def _done(self, number: int) -> Job:
        with self._change:
            return self._errands.pop(number).job


def _started() -> tuple[Connection, subprocess.Popen[bytes]]:
    """The process, in a group of its own so that Ctrl-C reaches it through its parent alone."""
    here, there = Pipe()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, str(there.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    return here, process
