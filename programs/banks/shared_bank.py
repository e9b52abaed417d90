"""How the threads of a process share a bank.

One draws what several want, and those that are ready at the same moment write in one transaction.

A commit costs more than what is written in it, and SQLite lets in one writer at a time and has the others sleep.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

_AGAIN = 2  # or more: the key was looked up by several, or kept since
_MOST = 100_000  # keys that are remembered


class DrawnOnce:
    """Who draws a candidate that several threads want, and whether it may have been kept since it was looked up."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._missed: dict[str, int] = {}

    def sought(self, keys: Iterable[str]) -> None:
        """These keys are about to be looked up, and drawn where they are not there."""
        with self._guard:
            if len(self._missed) > _MOST:
                self._missed.clear()  # of batches that were given up; whoever is forgotten looks up again
            for key in keys:
                self._missed[key] = self._missed.get(key, 0) + 1

    def there(self, keys: Iterable[str]) -> None:
        """These keys need not be drawn, or have just been kept by somebody."""
        with self._guard:
            for key in keys:
                if key in self._missed:
                    self._missed[key] = _AGAIN

    @contextmanager
    def turn(self, key: str) -> Iterator[bool]:
        """Waits until no other thread draws a key; gives whether it must be looked up again before it is drawn."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        waited = not lock.acquire(blocking=False)
        if waited:
            lock.acquire()
        try:
            yield self.must_look_again(key) or waited
        finally:
            lock.release()
            with self._guard:
                self._locks.pop(key, None)

    def must_look_again(self, key: str) -> bool:
        """Whether a key that is about to be drawn may have been kept since it was looked up."""
        with self._guard:
            return self._missed.pop(key, 0) != 1


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
