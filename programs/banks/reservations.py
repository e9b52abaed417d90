"""Which process draws a candidate that several want at the same moment.

The reservations lie beside the candidates, so they hold across processes and machines. That of a process that was
killed is passed over: on the same machine at once, on another one after two minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from .databases import patiently
from .processes import own_name, runs_here

LEASE_SECONDS, POLL_SECONDS = 120.0, 0.05
_metadata = sa.MetaData()
_reserved = sa.Table(
    "dspy_fusion_reservations",
    _metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("process", sa.String(200), nullable=False),
    sa.Column("ends", sa.Float, nullable=False),
)


class Reservations:
    """The reservations of a bank.

    Args:
        engine: of the bank's database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine, self._process = engine, own_name()
        patiently(lambda: _metadata.create_all(engine))

    def take(self, key: str, is_over: Callable[[], bool]) -> bool:
        """Waits until nobody else draws a key, and reserves it; False where ``is_over`` says so before."""
        while not self._insert(key):
            if is_over():
                return False
            if not self._pass_over(key):
                time.sleep(POLL_SECONDS)
        return True

    def give_back(self, key: str) -> None:
        """The key is kept, or could not be drawn: whoever waits goes on."""
        with self._engine.begin() as connection:
            connection.execute(_reserved.delete().where(_reserved.c.key == key, _reserved.c.process == self._process))

    def _insert(self, key: str) -> bool:
        values = {"key": key, "process": self._process, "ends": time.time() + LEASE_SECONDS}
        try:
            with self._engine.begin() as connection:
                connection.execute(_reserved.insert().values(values))
        except IntegrityError:
            return False
        return True

    def _pass_over(self, key: str) -> bool:
        """Ends the reservation of a process that was killed; whether the key can be tried again at once."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_reserved).where(_reserved.c.key == key)).first()
        if row is None:
            return True
        runs = runs_here(row.process)
        if runs or (runs is None and row.ends > time.time()):
            return False
        with self._engine.begin() as connection:
            connection.execute(_reserved.delete().where(_reserved.c.key == key, _reserved.c.process == row.process))
        return True
