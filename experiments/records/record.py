"""A record: what one strategy did on one example with one seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from sys import intern
from typing import Any

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.pools.candidates import Usage
from dspy_fusion.programs.redaction import without_secrets

Key = tuple[str, str, str, int]
_REPEATED = ("task", "strategy", "group")


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """One candidate of a pool as the records keep it."""

    text: str | None
    """The answer, or None when the attempt failed."""
    model: str
    """The model that was asked."""
    score: float
    """By the task's metric, in [0, 1]; 0 when the attempt failed."""
    scorer_score: float | None = None
    """What the strategy's scorer said, where it has one."""
    logprob: float | None = None
    """Mean log-probability of the answer's tokens, where the model reports it."""
    error: str | None = None
    """Why the attempt failed."""


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One part of an answer: whether it is right, and which candidates say the same."""

    label: str
    """Its name within the example."""
    kind: str
    """What sort of part it is, such as the operation of a sum."""
    given: bool
    """Whether the answer has this part at all."""
    right: bool
    """Whether it is right."""
    same_as: tuple[int, ...]
    """Indexes of the candidates that give the same; empty when the part is new."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one strategy did on one example with one seed."""

    task: str
    """Name of the task."""
    example: str
    """Name of the example within the task."""
    strategy: str
    """Name of the strategy."""
    seed: int
    """Which repetition, from 0."""
    score: float
    """By the task's metric, in [0, 1]; 0 when the strategy failed."""
    group: str = ""
    """What the example belongs to, such as its language or subject; empty where the task has no groups."""
    aspects: Mapping[str, float] = field(default_factory=dict)
    """Further scores of the answer by name, each in [0, 1], such as those of other metrics of the task."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What was asked."""
    expected: str = ""
    """A right answer, as text."""
    answer: str | None = None
    """What the strategy answered, as text; None when it failed."""
    candidates: tuple[CandidateRecord, ...] = ()
    """The pool of proposals, in index order."""
    shown: tuple[int, ...] = ()
    """Indexes of the candidates that the fusor saw, in the order in which it saw them;
    empty where no fusor saw the proposals.
    """
    parts: tuple[PartRecord, ...] = ()
    """The answer part by part, where the task has parts."""
    usage: Mapping[str, Usage] = field(default_factory=dict)
    """Cost by role; candidates that were replayed count as when they were drawn."""
    cost_usd: float = 0.0
    """What the tokens cost by the catalogue's prices; 0 where it has none."""
    depth: int = 0
    """Calls that followed one another on the longest path."""
    seconds: float = 0.0
    """Wall time of the strategy, plus that of the slowest candidate that was replayed:
    about what it takes without a bank.
    """
    calls_made: int = 0
    """How many of the calls were made for this record; the others came from the bank."""
    fallback: str | None = None
    """Why the answer is not the fusor's, where it should have been."""
    error: str | None = None
    """Why the strategy failed."""
    confidence: float | None = None
    """The chance that the answer is right as its pool says, in [0, 1]; None where it says nothing."""
    saved: int = 0
    """Calls that a gate or a stopping rule spared."""
    abstained: str | None = None
    """Why the answer should not be used, where the strategy marks such answers."""

    @property
    def key(self) -> Key:
        """What makes a record one of its kind."""
        return self.task, self.example, self.strategy, self.seed

    @property
    def best_candidate(self) -> float | None:
        """The best score in the pool (the oracle's), or None where there is no pool."""
        return max((candidate.score for candidate in self.candidates), default=None)

    @property
    def right_candidates(self) -> int:
        """How many candidates are right in full."""
        return sum(candidate.score == 1 for candidate in self.candidates)

    @property
    def total(self) -> Usage:
        """The usage of all roles together."""
        return Usage.total(self.usage.values())

    def to_json(self) -> str:
        """The record as one line, without secrets that a server may have echoed."""
        return without_secrets(json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, default=str))

    @property
    def numbers(self) -> Record:
        """The record without its texts and candidates, which is what is kept of many."""
        return replace(self, inputs={}, expected="", answer=None, candidates=(), shown=(), parts=())

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Reads :meth:`to_json` back.

        Raises:
            RecordError: the line is no record.
        """
        try:
            row = read_json(line)
            texts = {row["answer"]: row["answer"]} if row.get("answer") is not None else {}
            row["candidates"] = tuple(CandidateRecord(**_shared(c, texts)) for c in row["candidates"])
            row["parts"] = tuple(PartRecord(**{**part, "same_as": tuple(part["same_as"])}) for part in row["parts"])
            row["shown"] = tuple(row.get("shown", ()))  # records of older runs have none
            row["usage"] = {role: Usage(**usage) for role, usage in row["usage"].items()}
            row |= {name: intern(row[name]) for name in _REPEATED if name in row}
            return cls(**row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"not a record: {line[:60]!r} ({error})") from error


def _shared(candidate: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """A candidate whose texts, where they are said again, are in memory once.

    In the pool, or the model's name in all records.
    """
    text = candidate["text"]
    shared = text if text is None else texts.setdefault(text, text)
    return {**candidate, "text": shared, "model": intern(candidate["model"])}


def scores_of(
    records: Iterable[Record], value: Callable[[Record], float] = lambda record: record.score
) -> dict[tuple[str, int], float]:
    """A number of each record, by default its score, under its (example, seed)."""
    return {(record.example, record.seed): value(record) for record in records}
