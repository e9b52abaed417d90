"""StudyStore: what a study knows beyond Optuna's tables: every example's score, the instruction texts, and which workers are alive.

It lies in the same database as the study, so several processes or machines share it and ``kill -9`` loses at most the examples in flight.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from dspy_fusion.programs import ConfigurationError, Usage

_metadata = sa.MetaData()
_scores = sa.Table(
    "dspy_fusion_scores",
    _metadata,
    sa.Column("study", sa.String(200), primary_key=True),
    sa.Column("program", sa.String(64), primary_key=True),
    sa.Column("example", sa.String(64), primary_key=True),
    sa.Column("payload", sa.Text, nullable=False),
)
_texts = sa.Table(
    "dspy_fusion_texts",
    _metadata,
    sa.Column("study", sa.String(200), primary_key=True),
    sa.Column("predictor", sa.String(200), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("origin", sa.String(40), nullable=False),
)
_workers = sa.Table(
    "dspy_fusion_workers",
    _metadata,
    sa.Column("worker", sa.String(200), primary_key=True),
    sa.Column("beat", sa.Float, nullable=False),
)
BEAT_SECONDS, STALE_SECONDS = 5.0, 60.0


@dataclass(frozen=True)
class Outcome:
    """What one program did on one example.

    Attributes:
        example: digest of the example.
        score: the metric's value.
        cost: what the answer cost by the tuner's price, replayed calls at what they cost when they were made.
        usage: calls and tokens, replayed ones included.
        spent: calls and tokens made now.
        spent_cost: their price.
        seconds: wall time.
        feedback: what the metric said in words, or an empty string.
        answer: the answer as text.
        candidates: the candidates as texts.
        error: why the program failed on the example (its score is then the failure score), or None.
    """

    example: str
    score: float
    cost: float = 0.0
    usage: Usage = field(default_factory=Usage)
    spent: Usage = field(default_factory=Usage)
    spent_cost: float = 0.0
    seconds: float = 0.0
    feedback: str = ""
    answer: str = ""
    candidates: tuple[str, ...] = ()
    error: str | None = None

    @classmethod
    def from_json(cls, payload: str) -> Outcome:
        """Reads what :meth:`to_json` wrote."""
        data = json.loads(payload)
        data["usage"], data["spent"] = Usage(**data["usage"]), Usage(**data["spent"])
        return cls(**{**data, "candidates": tuple(data["candidates"])})

    def to_json(self) -> str:
        """All fields as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Totals:
    """What a study used up, what its bank replayed instead, and the price of the former."""

    spent: Usage
    replayed: Usage
    cost: float


class StudyStore:
    """The tables of this library in a study's database.

    Args:
        url: an SQLAlchemy URL, such as ``sqlite:///tuning.db`` or ``postgresql://...``.
        study: the study's name.

    Raises:
        ConfigurationError: the database cannot be opened or is none.
    """

    def __init__(self, url: str, study: str) -> None:
        self.study = study
        try:
            self._engine = sa.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
            _metadata.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError, OSError, ValueError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise ConfigurationError(f"cannot open the storage {url!r}: {reason}; give the URL of a study or of a new file") from error

    def outcomes(self, program: str) -> dict[str, Outcome]:
        """What is known of a program, by example."""
        query = sa.select(_scores.c.payload).where(_scores.c.study == self.study, _scores.c.program == program)
        with self._engine.connect() as connection:
            found = [Outcome.from_json(payload) for payload in connection.scalars(query)]
        return {outcome.example: outcome for outcome in found}

    def keep(self, program: str, outcome: Outcome) -> None:
        """Keeps an outcome; where another process was faster, the first one stays."""
        values = {"study": self.study, "program": program, "example": outcome.example, "payload": outcome.to_json()}
        self._insert(_scores, values)

    def totals(self) -> Totals:
        """What all workers of the study have used up and replayed so far."""
        with self._engine.connect() as connection:
            payloads = connection.scalars(sa.select(_scores.c.payload).where(_scores.c.study == self.study))
            outcomes = [Outcome.from_json(payload) for payload in payloads]
        spent, asked = (Usage.total(part) for part in ((o.spent for o in outcomes), (o.usage for o in outcomes)))
        replayed = Usage(asked.calls - spent.calls, asked.tokens_in - spent.tokens_in, asked.tokens_out - spent.tokens_out)
        return Totals(spent, replayed, sum(outcome.spent_cost for outcome in outcomes))

    def texts(self, predictor: str) -> list[tuple[str, str]]:
        """The instructions of a predictor in order, each with where it came from."""
        query = (
            sa.select(_texts.c.text, _texts.c.origin)
            .where(_texts.c.study == self.study, _texts.c.predictor == predictor)
            .order_by(_texts.c.place)
        )
        with self._engine.connect() as connection:
            return [(row.text, row.origin) for row in connection.execute(query)]

    def add_texts(self, predictor: str, added: Sequence[str], origin: str) -> None:
        """Appends instructions that are not there yet; places never change."""
        for text in dict.fromkeys(added):
            while text not in (known := [found for found, _ in self.texts(predictor)]):
                row = {"study": self.study, "predictor": predictor, "place": len(known), "text": text, "origin": origin}
                self._insert(_texts, row)

    def beat(self, worker: str) -> None:
        """Says that a worker is alive."""
        with self._engine.begin() as connection:
            connection.execute(_workers.delete().where(_workers.c.worker == worker))
            connection.execute(_workers.insert().values(worker=worker, beat=time.time()))

    def is_alive(self, worker: str) -> bool:
        """Whether a worker's process runs on this machine, or has given a sign of life within a minute on another."""
        host, _, process = worker.rpartition(":")
        if host == socket.gethostname():
            return _runs(process)
        with self._engine.connect() as connection:
            beat = connection.scalar(sa.select(_workers.c.beat).where(_workers.c.worker == worker))
        return beat is not None and time.time() - beat < STALE_SECONDS

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def _insert(self, table: sa.Table, values: Mapping[str, Any]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(table.insert().values(**values))
        except sa.exc.IntegrityError:
            pass  # another process was first, and first is what everyone reads


class Heartbeat:
    """Says every five seconds that this process is alive, while the block runs."""

    def __init__(self, store: StudyStore) -> None:
        self.store, self.worker = store, worker_name()
        self._stop = threading.Event()

    def __enter__(self) -> str:
        self.store.beat(self.worker)
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()
        return self.worker

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                self.store.beat(self.worker)
            except sa.exc.OperationalError:
                continue  # a busy database; the next beat is soon enough


def worker_name() -> str:
    """This process: host, process id and when it began, so that a reused id is not taken for it."""
    return f"{socket.gethostname()}:{os.getpid()}-{_began(os.getpid())}"


def _runs(process: str) -> bool:
    number, _, began = process.partition("-")
    return _began(int(number)) == began


def _began(process: int) -> str:
    """When a process began, in clock ticks since the machine did; an empty string where there is no such process."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return "" if not os.path.isdir("/proc") else "gone"


def _prepare_sqlite(connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=60000"):
        connection.execute(f"PRAGMA {pragma}")
