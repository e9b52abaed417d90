"""The database tables of recorded generations, which lie beside a bank's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()
SETS = sa.Table(
    "dspy_fusion_recorded_sets",
    METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("task", sa.String(200), nullable=False),
    sa.Column("shape", sa.String(200), nullable=False),
)
QUESTIONS = sa.Table(
    "dspy_fusion_recorded_questions",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("set_name", sa.String(200), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
)
CANDIDATES = sa.Table(
    "dspy_fusion_recorded_candidates",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("question", sa.String(64), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
)
_AT_ONCE = 400  # keys in one statement, below every driver's limit


def key_of(*parts: object) -> str:
    """The key of a question (set, id) or of a candidate (question, source, draw)."""
    return hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()


def kept(connection: sa.Connection, table: sa.Table, keys: Iterable[str]) -> dict[str, str]:
    """The payloads of those of the keys that a table holds."""
    texts: dict[str, str] = {}
    for some in _batched(keys):
        rows = connection.execute(sa.select(table.c.key, table.c.payload).where(table.c.key.in_(some)))
        texts |= {key: payload for key, payload in rows}
    return texts


def counted(connection: sa.Connection, questions: Iterable[str]) -> dict[str, int]:
    """How many candidates each of these questions has; those that have none are left out."""
    counts: dict[str, int] = {}
    for some in _batched(questions):
        number = sa.func.count()
        chosen = (
            sa.select(CANDIDATES.c.question, number)
            .where(CANDIDATES.c.question.in_(some))
            .group_by(CANDIDATES.c.question)
        )
        counts |= {question: count for question, count in connection.execute(chosen)}
    return counts


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows; an empty list adds nothing."""
    if rows:
        connection.execute(table.insert(), list(rows))


def _batched(keys: Iterable[str]) -> Iterator[list[str]]:
    listed = list(dict.fromkeys(keys))
    return (listed[start : start + _AT_ONCE] for start in range(0, len(listed), _AT_ONCE))
