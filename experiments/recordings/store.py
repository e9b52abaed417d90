"""Where recorded generations are kept: in a bank, so that what is drawn for them later lies beside them.

A candidate's key is made of its set, question, source and draw: importing a file twice adds nothing, and what is there
is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.databases import cause, database_url, patiently, without_password
from dspy_fusion.programs.errors import BankError, ConfigurationError, FusionError
from dspy_fusion.programs.json_text import read_json

from .bank_schema import CANDIDATES, METADATA, QUESTIONS, SETS, counted, insert, kept, key_of
from .recording import RecordedCandidate, RecordedQuestion, to_payload

_TRIES = 5


@dataclass(frozen=True)
class RecordedSet:
    """A named collection of recorded questions."""

    name: str
    task: str = ""
    """The task whose questions they are; empty where it is none of ours."""
    shape: str = ""
    """The shape of the file they came from."""
    questions: int = 0
    candidates: int = 0


@dataclass(frozen=True)
class Added:
    """What came of adding questions."""

    questions: int = 0
    candidates: int = 0
    known: int = 0
    """Candidates that were there already."""
    differing: int = 0
    """Those of them that were there with another content, which was kept."""

    def __add__(self, other: Added) -> Added:
        return Added(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class RecordedStore:
    """The recorded generations of a bank.

    Args:
        bank: where they are kept; their tables are made where they are not there.

    Raises:
        BankError: the tables cannot be made.
    """

    def __init__(self, bank: CandidateBank) -> None:
        self.bank, self._shown = bank, without_password(bank.url)
        try:
            patiently(lambda: METADATA.create_all(bank.engine))
        except Exception as error:
            raise BankError(f"cannot keep recorded generations in the bank {self._shown!r}: {cause(error)}") from error

    @property
    def sets(self) -> tuple[RecordedSet, ...]:
        """All sets, by name, with their sizes."""
        questions = sa.select(QUESTIONS.c.set_name, sa.func.count()).group_by(QUESTIONS.c.set_name)
        joined = CANDIDATES.join(QUESTIONS, CANDIDATES.c.question == QUESTIONS.c.key)
        candidates = sa.select(QUESTIONS.c.set_name, sa.func.count()).select_from(joined).group_by(QUESTIONS.c.set_name)
        with self._told("read"), self.bank.engine.connect() as connection:
            sizes, counts = (
                {row[0]: row[1] for row in connection.execute(counting)} for counting in (questions, candidates)
            )
            rows = connection.execute(sa.select(SETS).order_by(SETS.c.name)).all()
        return tuple(
            RecordedSet(row.name, row.task, row.shape, sizes.get(row.name, 0), counts.get(row.name, 0)) for row in rows
        )

    def set_named(self, name: str = "") -> RecordedSet:
        """The set of a name; the only one, where the name is empty.

        Raises:
            ConfigurationError: there is none, or several and no name.
        """
        sets = self.sets
        if not sets:
            raise ConfigurationError(
                f"the bank {self._shown!r} holds no recorded generations; dspy-fusion bank import FILE brings some in"
            )
        names = ", ".join(item.name for item in sets)
        if not name and len(sets) > 1:
            raise ConfigurationError(f"the bank {self._shown!r} holds several sets; name one of: {names}")
        for item in sets:
            if name in ("", item.name):
                return item
        raise ConfigurationError(f"the bank {self._shown!r} holds no set {name!r}; it holds: {names}")

    def begin(self, wanted: RecordedSet) -> None:
        """Makes a set known.

        Raises:
            ConfigurationError: it is there and belongs to another task.
            BankError: the bank cannot be written.
        """
        with self._told("write to"), self.bank.engine.begin() as connection:
            row = connection.execute(sa.select(SETS).where(SETS.c.name == wanted.name)).one_or_none()
            if row is None:
                connection.execute(SETS.insert().values(name=wanted.name, task=wanted.task, shape=wanted.shape))
            elif row.task != wanted.task:
                has = f"the task {row.task!r}" if row.task else "no task"
                raise ConfigurationError(
                    f"the set {wanted.name!r} has {has}, not {wanted.task!r}; import into another one with --name"
                )

    def add(self, name: str, questions: Sequence[RecordedQuestion]) -> Added:
        """Adds what is not there yet to a set; two processes may add at the same time.

        Raises:
            BankError: the bank cannot be written.
        """
        for tried in range(_TRIES):
            try:
                return self._add(name, questions)
            except IntegrityError as error:  # another process added some of them in between
                if tried == _TRIES - 1:
                    raise BankError(f"cannot write to the bank {self._shown!r}: {cause(error)}; try again") from error
            except Exception as error:
                raise BankError(
                    f"cannot write to the bank {self._shown!r}: {cause(error)}; what was kept before is safe"
                ) from error
        return Added()

    def questions(self, name: str) -> tuple[RecordedQuestion, ...]:
        """The questions of a set with their candidates, in the order in which they were imported.

        Raises:
            BankError: they cannot be read.
        """
        answers: dict[str, list[RecordedCandidate]] = {}
        theirs = sa.select(CANDIDATES.c.question, CANDIDATES.c.payload).join(
            QUESTIONS, CANDIDATES.c.question == QUESTIONS.c.key
        )
        asked = sa.select(QUESTIONS.c.key, QUESTIONS.c.payload).where(QUESTIONS.c.set_name == name)
        try:
            with self.bank.engine.connect() as connection:
                for key, payload in connection.execute(
                    theirs.where(QUESTIONS.c.set_name == name).order_by(CANDIDATES.c.number)
                ):
                    answers.setdefault(key, []).append(RecordedCandidate(**read_json(payload)))
                rows = connection.execute(asked.order_by(QUESTIONS.c.number, QUESTIONS.c.key)).all()
            return tuple(
                RecordedQuestion(**read_json(row.payload), candidates=tuple(answers.get(row.key, ()))) for row in rows
            )
        except Exception as error:  # damage can be anything
            raise BankError(
                f"the set {name!r} in the bank {self._shown!r} cannot be read: {cause(error)}; import it anew"
            ) from error

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FusionError:
            raise
        except Exception as error:  # damage can be anything
            raise BankError(f"cannot {doing} the bank {self._shown!r}: {cause(error)}") from error

    def _add(self, name: str, questions: Sequence[RecordedQuestion]) -> Added:
        asked = {key_of(name, question.id): question for question in questions}
        with self.bank.engine.begin() as connection:
            old = kept(connection, QUESTIONS, asked)
            number = (
                connection.scalar(sa.select(sa.func.count()).select_from(QUESTIONS).where(QUESTIONS.c.set_name == name))
                or 0
            )
            new = [key for key in asked if key not in old]
            rows = [
                {"key": key, "set_name": name, "payload": _line(asked[key]), "number": number + i}
                for i, key in enumerate(new)
            ]
            insert(connection, QUESTIONS, rows)
            return Added(questions=len(new)) + self._add_candidates(connection, asked)

    def _add_candidates(self, connection: sa.Connection, asked: dict[str, RecordedQuestion]) -> Added:
        places = counted(connection, asked)
        given = {
            key_of(key, c.source, c.draw): (key, _line(c))
            for key, question in asked.items()
            for c in question.candidates
        }
        old = kept(connection, CANDIDATES, given)
        rows: list[dict[str, Any]] = []
        for key, (question, line) in given.items():
            if key not in old:
                places[question] = places.get(question, 0) + 1
                rows.append({"key": key, "question": question, "payload": line, "number": places[question]})
        insert(connection, CANDIDATES, rows)
        return Added(
            candidates=len(rows), known=len(old), differing=sum(line != given[key][1] for key, line in old.items())
        )


def open_store(url: str | Path) -> RecordedStore:
    """The recorded generations of a bank that is there.

    Raises:
        ConfigurationError: there is no file at a path or an SQLite URL.
        BankError: it cannot be opened.
    """
    path = _sqlite_file(url)
    if path is not None and not path.is_file():
        shown = without_password(url)
        raise ConfigurationError(
            f"there is no bank at {shown!r}; dspy-fusion bank import FILE --bank {shown} makes one"
        )
    return RecordedStore(CandidateBank(url))


def _sqlite_file(url: str | Path) -> Path | None:
    """The file that a path or URL names; None where it is no file's, or none that can be named."""
    try:
        where = database_url(url)
    except Exception:  # noqa: BLE001 (opening it says what is wrong)
        return None
    is_file = where.get_backend_name() == "sqlite" and where.database not in (None, "", ":memory:") and not where.query
    return Path(str(where.database)) if is_file else None


def _line(recorded: RecordedCandidate | RecordedQuestion) -> str:
    return json.dumps(to_payload(recorded), sort_keys=True)
