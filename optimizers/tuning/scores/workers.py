"""Workers: which processes of a study are alive, and a turn that only one of them has at a time.

Both lie in the study's database, so they hold across machines. A turn whose owner was killed is passed over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from dspy_fusion.programs.banks.processes import own_name, runs_here

tables = sa.MetaData()
_workers = sa.Table(
    "dspy_fusion_workers",
    tables,
    sa.Column("worker", sa.String(200), primary_key=True),
    sa.Column("beat", sa.Float, nullable=False),
)
_turns = sa.Table(
    "dspy_fusion_turns",
    tables,
    sa.Column("study", sa.String(200), primary_key=True),
    sa.Column("worker", sa.String(200), nullable=False),
)
BEAT_SECONDS, STALE_SECONDS, POLL_SECONDS = 5.0, 60.0, 0.05


class Workers:
    """The workers of a study.

    Args:
        engine: of the study's database.
        study: the study's name.
    """

    def __init__(self, engine: sa.Engine, study: str) -> None:
        self._engine, self.study, self.name = engine, study, own_name()

    @contextmanager
    def at_work(self) -> Iterator[str]:
        """Says every five seconds that this process is alive, while the block runs, and yields its name."""
        done = threading.Event()
        self._beat()
        threading.Thread(target=self._beat_until, args=(done,), daemon=True, name="heartbeat").start()
        try:
            yield self.name
        finally:
            done.set()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A block that only one process of the study is in at a time; the others wait."""
        while not self._take_turn():
            time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            own = (_turns.c.study == self.study) & (_turns.c.worker == self.name)  # another may have taken it over
            with self._engine.begin() as connection:
                connection.execute(_turns.delete().where(own))

    def is_alive(self, worker: str) -> bool:
        """Whether a worker's process runs on this machine, or has given a sign of life within a minute on another."""
        if (runs := runs_here(worker)) is not None:
            return runs
        with self._engine.connect() as connection:
            beat = connection.scalar(sa.select(_workers.c.beat).where(_workers.c.worker == worker))
        return _is_fresh(beat)

    def has_company(self) -> bool:
        """Whether another process is at work too."""
        with self._engine.connect() as connection:
            others = connection.execute(sa.select(_workers).where(_workers.c.worker != self.name)).all()
        return any(_is_fresh(other.beat) and runs_here(other.worker) is not False for other in others)

    def _take_turn(self) -> bool:
        try:
            with self._engine.begin() as connection:
                connection.execute(_turns.insert().values(study=self.study, worker=self.name))
            return True
        except exc.IntegrityError:
            return self._take_over()

    def _take_over(self) -> bool:
        with self._engine.connect() as connection:
            owner = connection.scalar(sa.select(_turns.c.worker).where(_turns.c.study == self.study))
        if owner is None or self.is_alive(owner):
            return False
        with self._engine.begin() as connection:
            taken = (
                _turns.update().where(_turns.c.study == self.study, _turns.c.worker == owner).values(worker=self.name)
            )
            return connection.execute(taken).rowcount == 1

    def _beat(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(_workers.delete().where(_workers.c.worker == self.name))
            connection.execute(_workers.insert().values(worker=self.name, beat=time.time()))

    def _beat_until(self, done: threading.Event) -> None:
        while not done.wait(BEAT_SECONDS):
            try:
                self._beat()
            except exc.SQLAlchemyError:
                continue  # a busy database, or one that is started again; the next beat is soon enough


def _is_fresh(beat: float | None) -> bool:
    return beat is not None and time.time() - beat < STALE_SECONDS
