"""Which process draws a candidate that several want at the same moment.

The reservations lie beside the candidates, so they hold across processes and machines. That of a process that was
killed is passed over: on the same machine at once, on another one when it was not renewed for two minutes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ..redaction import redacting
from .databases import patiently
from .processes import own_name, runs_here

LEASE_SECONDS, RENEWED_SECONDS, POLL_SECONDS = 120.0, 40.0, 0.05
logger = redacting(logging.getLogger(__name__))
_metadata = sa.MetaData()
_reserved = sa.Table(
    "dspy_fusion_reservations",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("process", sa.String(200), nullable=False),
    sa.Column("ends", sa.Float, nullable=False),
)


_of_tasks: set[tuple[str, float]] = set()  # keys and ends of those that tasks of this process hold


class Reservations:
    """The reservations of a bank.

    A thread does not wait for a task of its own process: where the thread is one of an event loop, that task waits for
    it.

    Args:
        engine: of the bank's database.
        told: the context in which the database is asked.
    """

    def __init__(self, engine: sa.Engine, told: Callable[[], AbstractContextManager[None]]) -> None:
        self._engine, self._told, self._is_there = engine, told, False
        self._renewing = _Renewing(RENEWED_SECONDS)

    @contextmanager
    def held(self, key: str, is_over: Callable[[], bool]) -> Iterator[None]:
        """Waits until nobody else draws a key, and reserves it for the block; where ``is_over`` says so before, the
        block begins without.
        """
        hold = _Hold(self._engine, key, self._asked)
        try:
            while not hold.taken() and not hold.is_a_tasks and not is_over():
                time.sleep(POLL_SECONDS)
            with self._renewing.during(hold.renew):
                yield
        finally:
            hold.end()

    @asynccontextmanager
    async def aheld(self, key: str, is_over: Callable[[], bool]) -> AsyncIterator[None]:
        """As :meth:`held`, without a thread while it waits; whoever is cancelled leaves no reservation behind."""
        hold = _Hold(self._engine, key, self._asked, of_task=True)
        try:
            while not await asyncio.to_thread(hold.taken) and not is_over():
                await asyncio.sleep(POLL_SECONDS)
            with self._renewing.during(hold.renew):
                yield
        finally:  # a future and no task, which could be cancelled before it has begun
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, hold.end))

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with self._told():
            if not self._is_there:
                patiently(lambda: _metadata.create_all(self._engine))
                self._is_there = True
            yield


class _Hold:
    """One reservation, which is taken and ended in any threads and in any order: once ended, it is taken no more."""

    def __init__(
        self, engine: sa.Engine, key: str, asked: Callable[[], AbstractContextManager[None]], *, of_task: bool = False
    ) -> None:
        self._engine, self._key, self._asked, self._of_task = engine, key, asked, of_task
        self.is_a_tasks = False  # of this process, when it was last asked for
        self._lock, self._is_ended = threading.Lock(), False
        self._row: tuple[str, float] | None = None  # what may stand in the table

    def taken(self) -> bool:
        """Whether the key is reserved now."""
        with self._lock, self._asked():
            return not self._is_ended and (self._insert() or (self._pass_over() and self._insert()))

    def renew(self) -> None:
        """Has the reservation last from now on, unless it was ended or passed over."""
        with self._lock:
            if self._is_ended or self._row is None:
                return
            process, before = self._row
            ends, is_there = self._new_end(), 0
            try:
                with self._asked(), self._engine.begin() as connection:
                    renewed = _reserved.update().where(*self._same(process, before)).values(ends=ends)
                    is_there = connection.execute(renewed).rowcount
            finally:
                _of_tasks.discard((self._key, before if is_there else ends))
            if is_there:
                self._row = process, ends

    def end(self) -> None:
        """The key is kept, or could not be drawn: whoever waits goes on."""
        with self._lock:
            self._is_ended = True
            if self._row is not None:
                with self._asked():
                    self._delete(*self._row)
                _of_tasks.discard((self._key, self._row[1]))

    def _insert(self) -> bool:
        self._row = process, ends = own_name(), self._new_end()
        try:
            with self._engine.begin() as connection:
                connection.execute(_reserved.insert().values(key=self._key, process=process, ends=ends))
        except IntegrityError:
            self._row = None
            _of_tasks.discard((self._key, ends))
            return False
        return True

    def _new_end(self) -> float:
        ends = time.time() + LEASE_SECONDS
        if self._of_task:
            _of_tasks.add((self._key, ends))
        return ends

    def _pass_over(self) -> bool:
        """Ends the reservation of a process that was killed; whether the key can be tried again at once."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_reserved).where(_reserved.c.key == self._key)).first()
        if row is None:
            return True
        self.is_a_tasks = row.process == own_name() and (self._key, row.ends) in _of_tasks
        runs = runs_here(row.process)
        if runs or (runs is None and row.ends > time.time()):
            return False
        self._delete(row.process, row.ends)
        return True

    def _delete(self, process: str, ends: float) -> None:
        """Ends a reservation, and none that was made since."""
        with self._engine.begin() as connection:
            connection.execute(_reserved.delete().where(*self._same(process, ends)))

    def _same(self, process: str, ends: float) -> tuple[sa.ColumnElement[bool], ...]:
        return _reserved.c.key == self._key, _reserved.c.process == process, _reserved.c.ends == ends


class _Renewing:
    """Renews what is held for longer than it lasts by itself.

    Args:
        seconds: between two rounds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._guard = threading.Lock()
        self._renewals: dict[object, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def during(self, renew: Callable[[], None]) -> Iterator[None]:
        """A block in which ``renew`` is called every so many seconds; what it raises is logged, and tried again."""
        ticket = object()
        with self._guard:
            if self._thread is None or not self._thread.is_alive():  # after a fork it is not
                self._thread = threading.Thread(target=self._work, name="renewing", daemon=True)
                self._thread.start()
            self._renewals[ticket] = renew
        try:
            yield
        finally:
            with self._guard:
                del self._renewals[ticket]

    def _work(self) -> None:
        while True:
            time.sleep(self._seconds)
            with self._guard:
                renewals = list(self._renewals.values())
                if not renewals:
                    self._thread = None
                    return
            for renew in renewals:
                try:
                    renew()
                except Exception as error:  # noqa: BLE001 (a database that is away may come back)
                    logger.warning("what a candidate is reserved with could not be renewed: %s", error)
