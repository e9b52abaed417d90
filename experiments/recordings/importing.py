"""Importing recorded generations: rows are read one after another.

What cannot be used is set aside with its place, the rest is kept.

A broken file stops the import with its line; what came before that line is kept, and importing the mended file adds
what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.row_files import SUFFIXES, Row
from ..tasks import TASKS
from ..tasks.task import SetAside
from .answer_keys import answer_key
from .pool_rows import rows_of
from .recording import RecordedQuestion
from .shapes import Columns, Read, shape_of
from .store import Added, RecordedSet, RecordedStore

_AT_ONCE = 200  # questions that are written in one transaction
_NAMED = 5  # rows set aside that a report names


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a file."""

    name: str = ""
    """Of the set; empty takes the shape's, or the file's."""
    task: str | None = None
    """The task whose questions these are; None takes the shape's, empty is none."""
    shape: str = ""
    """One of ``SHAPES``, or ``questions``; empty looks at the columns."""
    columns: Columns | None = None
    """What the columns are called."""
    split: str = "train"
    """Of a data set on the hub."""
    config: str | None = None
    """Of a data set on the hub."""


@dataclass(frozen=True)
class ImportReport:
    """What came of an import."""

    into: RecordedSet
    """The set, without its sizes."""
    rows: int
    """Rows that were read."""
    added: Added
    set_aside: tuple[SetAside, ...]
    """Rows that could not be used."""
    conflicts: int
    """Candidates whose recorded correctness contradicts their text, as the data say themselves; kept as recorded."""
    lost: tuple[str, ...]
    """Candidates that could not be used, although others of their question could."""
    uneven: int
    """Candidates that are graded otherwise than most of those that give the same answer to the question;
    kept as recorded.
    """

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know beyond the numbers."""
        found = []
        if self.set_aside:
            named = "; ".join(f"{row.where}: {row.why}" for row in self.set_aside[:_NAMED])
            found.append(
                f"{len(self.set_aside)} of {self.rows} rows were set aside:"
                f" {named}{'; ...' if self.set_aside[_NAMED:] else ''}"
            )
        if self.lost:
            named = "; ".join(self.lost[:_NAMED])
            found.append(
                f"{len(self.lost)} candidates could not be used: {named}{'; ...' if self.lost[_NAMED:] else ''}"
            )
        if self.added.differing:
            found.append(f"{self.added.differing} candidates were there with another content, which was kept")
        if self.conflicts:
            found.append(
                f"{self.conflicts} candidates are flagged right or wrong against their text (flag_conflict); kept as"
                " recorded"
            )
        if self.uneven:
            found.append(
                f"{self.uneven} candidates are graded otherwise than most others that give the same answer; kept as"
                " recorded"
            )
        return tuple(found)


def import_file(file: str, store: RecordedStore, options: ImportOptions | None = None) -> ImportReport:
    """Brings recorded generations into a bank.

    Args:
        file: a path, or the name of a data set on the Hugging Face hub.
        store: where they go.
        options: what the user says about the file.

    Raises:
        ConfigurationError: the file cannot be read, is empty or broken, fits no shape, or holds no row that can be
            used.
        BankError: the bank cannot be written.
    """
    options = options or ImportOptions()
    if options.task and options.task not in TASKS:
        raise ConfigurationError(f"there is no task {options.task!r}; there are: {', '.join(TASKS)}")
    rows = rows_of(file, split=options.split, config=options.config)
    first = next(rows, None)
    if first is None:
        raise ConfigurationError(f"{file} is empty; there is nothing to import")
    path = Path(file)
    shape_name, shape = shape_of(first, shape=options.shape, columns=options.columns)
    name = options.name or (_stem(path) if shape.named_after_file else shape_name)
    into = RecordedSet(name, shape.task if options.task is None else options.task, shape_name)
    reading = _Reading(shape.make(first, path), is_flat=shape.is_flat)
    added: Added | None = None
    for batch in _batches(reading.questions(chain([first], rows))):
        if added is None:
            store.begin(into)
        added = (added or Added()) + store.add(name, batch)
    if added is None:
        worst = reading.set_aside[0]
        raise ConfigurationError(f"none of the {reading.rows} rows of {file} can be used; {worst.where}: {worst.why}")
    said = (tuple(reading.set_aside), reading.conflicts, tuple(reading.lost), reading.uneven)
    return ImportReport(into, reading.rows, added, *said)


class _Reading:
    """Rows on their way to questions, and what was seen so far."""

    def __init__(self, read: Read, *, is_flat: bool) -> None:
        self.read = read
        self.is_flat = is_flat  # whether one question may be spread over several rows
        self.rows = self.conflicts = self.uneven = 0
        self.set_aside: list[SetAside] = []
        self.lost: list[str] = []
        self.places: dict[str, str] = {}
        self.draws: Counter[tuple[str, str]] = Counter()

    def questions(self, rows: Iterator[Row]) -> Iterator[RecordedQuestion]:
        """The questions of all rows that can be used."""
        for row in rows:
            self.rows += 1
            try:
                found = self.read(row)
                for question in found:
                    self._check_new(question, row)
            except ValueError as error:
                self.set_aside.append(SetAside(row.where, str(error)))
                continue
            for question in found:
                self.places.setdefault(question.id, row.where)
                self.lost += [f"{row.where}, {why}" for why in question.lost]
                yield self._counted(self._numbered(question))

    def _check_new(self, question: RecordedQuestion, row: Row) -> None:
        before = self.places.get(question.id)
        if before is not None and not (self.is_flat and len(question.candidates) == 1):
            raise ValueError(f"the id {question.id!r} was there before: {before}")

    def _numbered(self, question: RecordedQuestion) -> RecordedQuestion:
        """The question with the answers of each source counted."""
        numbered = []
        for candidate in question.candidates:
            key = (question.id, candidate.source)
            numbered.append(replace(candidate, draw=self.draws[key]))
            self.draws[key] += 1
        return replace(question, candidates=tuple(numbered))

    def _counted(self, question: RecordedQuestion) -> RecordedQuestion:
        self.conflicts += sum(candidate.conflict for candidate in question.candidates)
        grades: dict[str, Counter[float]] = {}
        for candidate in question.candidates:
            if candidate.answer is not None and candidate.quality is not None:
                grades.setdefault(answer_key(candidate.answer), Counter())[candidate.quality] += 1
        self.uneven += sum(counts.total() - max(counts.values()) for counts in grades.values())
        return question


def _batches(questions: Iterator[RecordedQuestion]) -> Iterator[list[RecordedQuestion]]:
    """Lists of questions in which no id is twice, so that one statement can write them."""
    batch: dict[str, RecordedQuestion] = {}
    for question in questions:
        if question.id in batch:
            held = batch[question.id]
            batch[question.id] = replace(held, candidates=(*held.candidates, *question.candidates))
        else:
            batch[question.id] = question
        if len(batch) >= _AT_ONCE:
            yield list(batch.values())
            batch = {}
    if batch:
        yield list(batch.values())


def _stem(path: Path) -> str:
    """The file's name without its suffix."""
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), "")
    return path.name.removesuffix(suffix)
