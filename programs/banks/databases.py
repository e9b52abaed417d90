"""Opening databases that several processes may make at the same moment, and that may turn out to be something else."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

from ..redaction import know_url, redacted

T = TypeVar("T")
_WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds; making all tables takes less
_SQLITE_OPTIONS = re.compile(
    r"\?(?:mode|cache|uri|timeout|check_same_thread|isolation_level|nolock|immutable|vfs|detect_types|cached_statements)="
)
_SOMEONE_ELSE = ("already exists", "unique", "duplicate", "locked")


def patiently(make: Callable[[], T]) -> T:
    """What ``make`` returns, tried again where another process was making the same tables."""
    for wait in _WAITS:
        try:
            return make()
        except Exception as error:
            if not any(sign in f"{error} {error.__cause__}".lower() for sign in _SOMEONE_ELSE):
                raise
            time.sleep(wait)
    return make()


def database_url(where: str | Path) -> sa.URL:
    """The URL of a database: of a path, that of an SQLite file there.

    Of PostgreSQL's without a driver, one with the driver that this library installs.

    What follows ``sqlite:///`` is a path, in which ``?``, ``%`` and ``#`` stand for themselves, unless options of
    SQLite follow a ``?``, as in ``sqlite:///bank.db?timeout=30``.

    Raises:
        ValueError: it is empty.
        sqlalchemy.exc.ArgumentError: it is neither.
    """
    text = os.fspath(where)
    if not text:
        raise ValueError("it is empty")
    know_url(text)
    scheme, mark, rest = text.partition("://")
    if not mark and isinstance(where, str) and not _is_path(text):
        return sa.make_url(text)
    if not mark:
        return sa.URL.create("sqlite", database=text)
    if scheme.partition("+")[0] == "sqlite" and not _SQLITE_OPTIONS.search(rest):
        return sa.URL.create(scheme, database=rest.removeprefix("/"))
    return sa.make_url(with_driver(text))


def _is_path(text: str) -> bool:
    """Whether a text without a scheme is meant as a path: it has a suffix or a folder, or is there."""
    return "/" in text or bool(Path(text).suffix) or Path(text).exists()


def with_driver(url: str) -> str:
    """The URL with the driver that this library installs, where it names PostgreSQL and no driver."""
    scheme, mark, rest = url.partition("://")
    return f"postgresql+psycopg{mark}{rest}" if scheme in ("postgresql", "postgres") else url


def without_password(where: str | Path) -> str:
    """A URL or path that can be shown."""
    know_url(os.fspath(where))
    return redacted(os.fspath(where))


def cause(error: BaseException) -> str:
    """A database's error in one line."""
    return redacted(" ".join(str(getattr(error, "orig", None) or error or type(error).__name__).split()))[:200]


def prepare_sqlite(connection: Any, _: Any) -> None:
    """Lets several processes write: readers do not wait, and writers wait for up to a minute."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=60000"):
        connection.execute(f"PRAGMA {pragma}")


def listen(engine: sa.Engine) -> sa.Engine:
    """The engine, prepared where it is SQLite's; connections that it made before are given up, since they are not."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", prepare_sqlite)
        engine.dispose()
    return engine
