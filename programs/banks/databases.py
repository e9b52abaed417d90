"""Opening databases that several processes may make at the same moment, and that may turn out to be something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

T = TypeVar("T")
_WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds; making all tables takes less
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


def with_driver(url: str) -> str:
    """The URL with the driver that this library installs, where it names PostgreSQL and no driver."""
    scheme, mark, rest = url.partition("://")
    return f"postgresql+psycopg{mark}{rest}" if scheme in ("postgresql", "postgres") else url


def without_password(url: str) -> str:
    """A URL that can be shown."""
    return sa.make_url(url).render_as_string(hide_password=True) if "://" in url else url


def cause(error: BaseException) -> str:
    """A database's error in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())[:200]


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
