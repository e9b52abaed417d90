"""StudyStore: what a study knows beyond Optuna's tables: every example's score and cost, and the instruction texts.

It lies in the same database as the study, so several processes or machines share it and ``kill -9`` loses at most the
examples in flight.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from dspy_fusion.programs import ConfigurationError, RecordError, Usage
from dspy_fusion.programs.banks.databases import cause, listen, patiently, without_password
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets

from .workers import Workers, tables as worker_tables

_APART = "set apart"
_COUNTS = ("calls", "tokens_in", "tokens_out", "spent_calls", "spent_tokens_in", "spent_tokens_out")
_metadata = sa.MetaData()
_scores = sa.Table(
    "dspy_fusion_scores",
    _metadata,
    sa.Column("study", sa.String(200), primary_key=True),
    sa.Column("program", sa.String(64), primary_key=True),
    sa.Column("example", sa.String(64), primary_key=True),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
    sa.Column("spent_cost", sa.Float, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),  # the last column, so that sums over the others need not read it
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
        fell_back: whether a fusor in it failed, so that a candidate was taken in the place of what it was to write.
        values: further measures, by name.
        candidate_scores: what each of the candidates scores by itself, where that was asked; None where it failed.
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
    fell_back: bool = False
    values: dict[str, float] = field(default_factory=dict)
    candidate_scores: tuple[float | None, ...] = ()

    def value(self, name: str) -> float:
        """Its quality, cost or further measure; NaN where that was not measured."""
        return {"quality": self.score, "cost": self.cost}.get(name, self.values.get(name, math.nan))

    @property
    def replayed(self) -> Usage:
        """Calls and tokens that a bank replayed."""
        return _difference(self.usage, self.spent)

    @classmethod
    def from_json(cls, payload: str) -> Outcome:
        """Reads what :meth:`to_json` wrote."""
        data = read_json(payload)
        data["usage"], data["spent"] = Usage(**data["usage"]), Usage(**data["spent"])
        return cls(**{**data, "candidates": tuple(data["candidates"]),
                      "candidate_scores": tuple(data.get("candidate_scores", ()))})  # fmt: skip

    def to_json(self) -> str:
        """All fields as JSON."""
        return without_secrets(json.dumps(vars(self) | {"usage": vars(self.usage), "spent": vars(self.spent)}))


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
            self._engine = listen(sa.create_engine(url))
            patiently(self._open)
        except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(
                f"cannot open the storage {without_password(url)!r}: {cause(error)}; give the URL of a study or a new"
                " file"
            ) from error
        self.workers = Workers(self._engine, study)

    def outcomes(self, program: str) -> dict[str, Outcome]:
        """What is known of a program, by example."""
        query = sa.select(_scores.c.payload).where(_scores.c.study == self.study, _scores.c.program == program)
        with self._engine.connect() as connection:
            rows = [Outcome.from_json(payload) for payload in connection.scalars(query)]
        return {outcome.example: outcome for outcome in rows}

    def keep(self, program: str, *outcomes: Outcome) -> None:
        """Keeps outcomes; where another process was faster, the first one stays."""
        if outcomes:
            self._insert(_scores, [self._row(program, outcome) for outcome in outcomes])

    def set_apart(self, *programs: str) -> None:
        """Forgets what programs did, but not what it took."""
        key = sa.func.substr(_scores.c.program, -8).concat("-").concat(_scores.c.example).concat(f"-{time.time_ns():x}")
        of_programs = (_scores.c.study == self.study) & _scores.c.program.in_(programs)
        with self._engine.begin() as connection:
            connection.execute(_scores.update().where(of_programs).values(program=_APART, example=key))

    def _row(self, program: str, outcome: Outcome) -> dict[str, Any]:
        counts = [
            value
            for usage in (outcome.usage, outcome.spent)
            for value in (usage.calls, usage.tokens_in, usage.tokens_out)
        ]
        values = {"study": self.study, "program": program, "example": outcome.example, "payload": outcome.to_json()}
        return {**values, **dict(zip(_COUNTS, counts, strict=True)), "spent_cost": outcome.spent_cost}

    def totals(self) -> Totals:
        """What all workers of the study have used up and replayed so far."""
        sums = [sa.func.coalesce(sa.func.sum(_scores.c[name]), 0) for name in (*_COUNTS, "spent_cost")]
        with self._engine.connect() as connection:
            *counts, cost = connection.execute(sa.select(*sums).where(_scores.c.study == self.study)).one()
        asked, spent = Usage(*map(int, counts[:3])), Usage(*map(int, counts[3:]))
        return Totals(spent, _difference(asked, spent), float(cost))

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
        """Appends instructions that are not there yet, all or none of them; places never change."""
        common = {"study": self.study, "predictor": predictor, "origin": origin}
        while True:
            known = [text for text, _ in self.texts(predictor)]
            fresh = [text for text in dict.fromkeys(added) if text not in known]
            if not fresh:
                return
            self._insert(
                _texts, [{**common, "place": place, "text": text} for place, text in enumerate(fresh, len(known))]
            )

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def _insert(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Where another process was first, its row stays: first is what everyone reads."""
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(table).on_conflict_do_nothing(), rows)
        except SQLAlchemyError as error:
            raise RecordError(
                f"cannot write to the study's storage: {cause(error)}; what was completed before is safe"
            ) from error

    def _open(self) -> None:
        tables = set(sa.inspect(self._engine).get_table_names())
        if self._engine.dialect.name == "sqlite" and tables and not tables & {"studies", _scores.name}:
            url = self._engine.url.render_as_string()
            raise ConfigurationError(
                f"{url!r} is a database but holds no studies; give the URL of a study or a new file"
            )
        _metadata.create_all(self._engine)
        worker_tables.create_all(self._engine)


def _difference(asked: Usage, spent: Usage) -> Usage:
    return Usage(asked.calls - spent.calls, asked.tokens_in - spent.tokens_in, asked.tokens_out - spent.tokens_out)
