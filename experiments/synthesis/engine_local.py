"""The local engine: rows made side by side in one event loop, as many at a time as asked for.

Each of ``concurrency`` workers takes the next prompt, makes its row and writes it down. A prompt is only taken when its
row's file may be open, so a row that hangs holds up reading after a few files and nothing piles up in memory. Files are
finished in a thread meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dspy_fusion.programs.calls.interrupts import GRACE_SECONDS

from .gates import Gates
from .prompts import Prompt
from .row_maker import RowMaker
from .shards import Shards
from .synthesized_rows import Row

_PROMPTS_AT_ONCE = 64
_LOOKS = 100  # in the time that rows in flight have
_LONGEST_SECONDS = 5 * GRACE_SECONDS


class LocalEngine:
    """Makes the rows of prompts that are not there yet.

    Args:
        maker: makes them.
        shards: where they go.
        gates: marks them when their file is finished.
        on_row: called with each row after it was written; what it raises ends the run.
    """

    def __init__(self, maker: RowMaker, shards: Shards, gates: Gates, on_row: Callable[[Row], None]) -> None:
        self.maker, self.shards, self.gates, self.on_row = maker, shards, gates, on_row
        self.stopped = False
        self._room = asyncio.Condition()
        self._finishing = asyncio.Lock()
        self._taking = asyncio.Lock()
        self._ahead: list[Prompt] = []
        self._workers: list[asyncio.Task[None]] = []

    async def stop(self) -> None:
        """Has the rows in flight finished, those that take no more than two seconds, and no other begun.

        Where other processes have the cores, the two seconds are longer: answers that are there by then are paid for.
        """
        self.stopped = True
        async with self._room:
            self._room.notify_all()
        await _grace()
        for worker in self._workers:
            worker.cancel()

    async def run(self, prompts: Iterator[Prompt], concurrency: int) -> None:
        """Makes rows until no prompt is left, or until it is stopped.

        Raises:
            FusionError: the prompts cannot be read on, a row cannot be written, or ``on_row`` raised it.
        """
        asyncio.get_running_loop().set_default_executor(threads_for(concurrency))
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    self._workers.append(workers.create_task(self._work(prompts)))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _work(self, prompts: Iterator[Prompt]) -> None:
        with self.maker.at_work():
            while (prompt := await self._take(prompts)) is not None:
                row = await self.maker.make(prompt)
                self.shards.append(row)
                self.on_row(row)
                if self.shards.can_finish:
                    await self._finish()

    async def _take(self, prompts: Iterator[Prompt]) -> Prompt | None:
        async with self._taking:
            if not self._ahead and not self.stopped:
                self._ahead = await asyncio.to_thread(lambda: list(_missing(prompts, self.shards)))
                self._ahead.reverse()
            if self.stopped or not self._ahead:
                return None
            prompt = self._ahead.pop()
            async with self._room:
                await self._room.wait_for(lambda: prompt.index < self.shards.limit or self.stopped)
            return None if self.stopped else prompt

    async def _finish(self) -> None:
        async with self._finishing:
            while self.shards.can_finish:
                await asyncio.to_thread(self.shards.finish_next, self.gates)
                async with self._room:
                    self._room.notify_all()


async def _grace() -> None:
    """Two seconds in which this loop has its turns: however long it is held up, that is one look of many."""
    end = time.monotonic() + _LONGEST_SECONDS
    for _ in range(_LOOKS):
        await asyncio.sleep(GRACE_SECONDS / _LOOKS)
        if time.monotonic() > end:
            return


def threads_for(rows: int) -> ThreadPoolExecutor:
    """Threads for what blocks (a reward model's requests, DSPy's own preparations).

    Asyncio's usual handful would hold rows up.
    """
    return ThreadPoolExecutor(min(256, max(16, 2 * rows)), "row")


def _missing(prompts: Iterator[Prompt], shards: Shards) -> Iterator[Prompt]:
    """The next few prompts whose rows are not there."""
    count = 0
    for prompt in prompts:
        if not shards.has(prompt.index):
            yield prompt
            count += 1
            if count == _PROMPTS_AT_ONCE:
                return
