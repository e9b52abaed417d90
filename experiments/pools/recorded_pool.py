"""RecordedPool: the recorded answers of a set as arrays of (questions, candidates),
which every measure here is computed on.

A column is one source, or one of its answers where it gave several. Where a source has no answer to a question the
candidate failed, as it would in a program: it scores 0, does not vote and is never chosen unless there is nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dspy_fusion.programs.errors import ConfigurationError

from ..recordings.answer_keys import answer_key
from ..recordings.recording import RecordedCandidate, RecordedQuestion

_ARRAYS = ("present", "answers", "quality", "scores", "logprobs", "lengths")
RIGHT = 1.0
"""The quality of an answer that is right in full."""


@dataclass(frozen=True, eq=False)
class RecordedPool:
    """Recorded answers, aligned: every array is (questions, candidates)."""

    name: str
    """Of the set."""
    questions: tuple[RecordedQuestion, ...]
    """With all that was recorded."""
    columns: tuple[str, ...]
    """Names of the candidates' places; see :attr:`RecordedCandidate.column`."""
    sources: tuple[str, ...]
    """Of each column: who answered."""
    families: tuple[str, ...]
    """Of each column: what is likely to err together."""
    present: np.ndarray
    """Whether there is an answer."""
    answers: np.ndarray
    """Equal numbers in a row are equal answers; -1 where there is no answer that could be compared."""
    quality: np.ndarray
    """In [0, 1]; 0 where there is no answer, NaN where it is not known."""
    scores: np.ndarray
    """What a scorer said; NaN where none did."""
    logprobs: np.ndarray
    """Mean log-probability; NaN where it was not recorded."""
    lengths: np.ndarray
    """Characters of the text; NaN where there is none."""

    @classmethod
    def of(
        cls, name: str, questions: Sequence[RecordedQuestion], *, columns: Sequence[str] = (), derived: bool = False
    ) -> RecordedPool:
        """Makes arrays of recorded questions.

        Args:
            name: of the set.
            questions: at least one.
            columns: which candidates, in which order; empty takes all that any question has, in the order of their
                first appearance.
            derived: whether candidates that were made from others belong to the pool too; those named in ``columns``
                always do.

        Raises:
            ConfigurationError: there are no questions, or a column is in none of them.
        """
        candidates = [c for q in questions for c in q.candidates if derived or columns or not c.derived]
        names = dict.fromkeys(candidate.column for candidate in candidates)
        for column in columns:
            if column not in names:
                raise ConfigurationError(f"the set {name!r} has no source {column!r}; it has: {', '.join(names)}")
        places = {column: place for place, column in enumerate(columns or names)}
        if not places:
            raise ConfigurationError(f"the set {name!r} holds no candidates")
        owners = {
            candidate.column: (candidate.source, candidate.family or candidate.source) for candidate in candidates
        }
        shape = (len(questions), len(places))
        pool = cls(
            name=name,
            questions=tuple(questions),
            columns=tuple(places),
            sources=tuple(owners[column][0] for column in places),
            families=tuple(owners[column][1] for column in places),
            present=np.zeros(shape, dtype=bool),
            answers=np.full(shape, -1, dtype=np.int32),
            quality=np.zeros(shape),
            scores=np.full(shape, np.nan),
            logprobs=np.full(shape, np.nan),
            lengths=np.full(shape, np.nan),
        )
        for row, question in enumerate(questions):
            pool._fill(row, question, places)
        return pool

    @property
    def shape(self) -> tuple[int, int]:
        """Number of questions and of candidates."""
        return self.present.shape[0], self.present.shape[1]

    @property
    def groups(self) -> dict[str, str]:
        """The group of each question, for intervals within groups."""
        return {question.id: question.group for question in self.questions}

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each candidate is right in full."""
        return self.quality == RIGHT

    @property
    def is_comparable(self) -> bool:
        """Whether answers were recorded that can be found equal, so that a vote means something."""
        return bool((self.answers >= 0).any())

    @property
    def is_binary(self) -> bool:
        """Whether every known quality is 0 or 1."""
        values = self.quality[~np.isnan(self.quality)]
        return bool(np.isin(values, (0.0, 1.0)).all())

    @property
    def has_texts(self) -> bool:
        """Whether texts were recorded."""
        return bool((self.lengths > 0).any())

    def graded(self) -> RecordedPool:
        """The questions of which the quality of every candidate is known."""
        return self.rows(np.flatnonzero(~np.isnan(self.quality).any(axis=1)))

    def rows(self, rows: np.ndarray) -> RecordedPool:
        """The pool of some of the questions, by their places."""
        questions = tuple(self.questions[row] for row in rows)
        return replace(self, questions=questions, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def take(self, places: Sequence[int]) -> RecordedPool:
        """The pool of some of the columns, in this order, by their places."""
        names = {
            name: tuple(getattr(self, name)[place] for place in places) for name in ("columns", "sources", "families")
        }
        return replace(self, **names, **{name: getattr(self, name)[:, list(places)] for name in _ARRAYS})

    def texts(self, row: int) -> list[str]:
        """The texts of a question's candidates, in the order of the columns; empty where there is none."""
        by_column = {candidate.column: candidate.text or "" for candidate in self.questions[row].candidates}
        return [by_column.get(column, "") for column in self.columns]

    def _fill(self, row: int, question: RecordedQuestion, places: dict[str, int]) -> None:
        keys: dict[str, int] = {}
        for candidate in question.candidates:
            column = places.get(candidate.column)
            if column is None:
                continue
            self.present[row, column] = True
            self.quality[row, column] = np.nan if candidate.quality is None else candidate.quality
            for name, value in (("scores", candidate.score), ("logprobs", candidate.logprob)):
                if value is not None:
                    getattr(self, name)[row, column] = value
            if candidate.text is not None:
                self.lengths[row, column] = len(candidate.text)
            if (key := _key(candidate)) is not None:
                self.answers[row, column] = keys.setdefault(key, len(keys))


def _key(candidate: RecordedCandidate) -> str | None:
    return None if candidate.answer is None else answer_key(candidate.answer)
