"""How the threads of a process share a bank.

One draws what several want, and those that are ready at the same moment write in one transaction.

A commit costs more than what is written in it, and SQLite lets in one writer at a time and has the others sleep.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

_RECENT = 20_000  # keys that are remembered, about 4 MB; whoever wants one that is forgotten looks again


@dataclass
class _Turn:
    lock: Any
    wanted_by: int = 0


class DrawnOnce:
    """Who draws a candidate that several threads want, and whether it may have been kept since it was looked up."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: dict[Hashable, _Turn] = {}
        self._is_kept: OrderedDict[str, bool] = OrderedDict()

    def missed(self, keys: Iterable[str]) -> None:
        """These keys were not there when they were looked up just now."""
        with self._guard:
            for key in keys:
                self._is_kept.setdefault(key, False)
            self._forget()

    def kept(self, key: str) -> None:
        """This key's candidate is there from now on: whoever looked it up before must look again."""
        with self._guard:
            self._is_kept[key] = True
            self._forget()

    def must_look_again(self, key: str) -> bool:
        """Whether a candidate may be there by now: it was kept, or never missed."""
        with self._guard:
            return self._is_kept.get(key, True)

    @contextmanager
    def turn(self, key: str) -> Iterator[bool]:
        """Waits until no other thread draws a key; gives whether it must be looked up again before it is drawn."""
        with self._wanted(key, threading.Lock) as lock, lock:
            yield self.must_look_again(key)

    @asynccontextmanager
    async def aturn(self, key: str) -> AsyncIterator[bool]:
        """Waits until no other task of this event loop draws a key; gives what :meth:`turn` gives."""
        with self._wanted((asyncio.get_running_loop(), key), asyncio.Lock) as lock:
            async with lock:
                yield self.must_look_again(key)

    @contextmanager
    def _wanted(self, place: Hashable, new: Callable[[], Any]) -> Iterator[Any]:
        """The lock that all who want the same have, as long as somebody wants it."""
        with self._guard:
            turn = self._turns.setdefault(place, _Turn(new()))
            turn.wanted_by += 1
        try:
            yield turn.lock
        finally:
            with self._guard:
                turn.wanted_by -= 1
                if not turn.wanted_by:
                    del self._turns[place]

    def _forget(self) -> None:
        while len(self._is_kept) > _RECENT:
            self._is_kept.popitem(last=False)


@dataclass
class _Entry:
    key: str
    payload: str
    is_new: bool | None = None
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        return self.is_new is not None or self.error is not None


class SharedWrites:
    """Writes candidates; the first of the threads that are ready writes for all of them.

    Args:
        engine: of the database.
        table: with the columns ``key`` and ``payload``.
    """

    def __init__(self, engine: sa.Engine, table: sa.Table) -> None:
        self._engine, self._insert = engine, table.insert()
        self._delete = table.delete().where(table.c.key == sa.bindparam("key_"))
        self._guard, self._turn = threading.Lock(), threading.Lock()
        self._waiting: list[_Entry] = []

    def keep(self, key: str, payload: str) -> bool:
        """Writes a candidate, which is safe on return; whether its key was new, else what is there stays.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it cannot be written.
        """
        entry = _Entry(key, payload)
        with self._guard:
            self._waiting.append(entry)
        with self._turn:
            if not entry.is_over:
                self._write_all()
        if entry.error is not None:
            raise entry.error
        return bool(entry.is_new)

    def replace(self, key: str, payload: str) -> None:
        """Writes a candidate in the place of the one that may be there."""
        with self._turn, self._engine.begin() as connection:
            connection.execute(self._delete, {"key_": key})
            connection.execute(self._insert, {"key": key, "payload": payload})

    def _write_all(self) -> None:
        with self._guard:
            entries, self._waiting = self._waiting, []
        try:
            self._write(entries)
        finally:  # an interrupt: the others write for themselves
            with self._guard:
                self._waiting += [entry for entry in entries if not entry.is_over]

    def _write(self, entries: list[_Entry]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(self._insert, [{"key": entry.key, "payload": entry.payload} for entry in entries])
        except Exception as error:  # noqa: BLE001 (each thread raises its own)
            if len(entries) > 1:  # one of them has spoilt it
                for entry in entries:
                    self._write([entry])
            elif isinstance(error, IntegrityError):
                entries[0].is_new = False
            else:
                entries[0].error = error
        else:
            for entry in entries:
                entry.is_new = True
