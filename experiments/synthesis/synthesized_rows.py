"""Rows: one JSON line per prompt with everything that was made for it,
so that any data set can be cut from it later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.pools.candidates import Usage
from dspy_fusion.programs.redaction import without_secrets


@dataclass(frozen=True)
class TeacherAnswer:
    """What one teacher answered."""

    teacher: str
    """The teacher's name in the catalogue."""
    model: str
    """The model string that was called."""
    fingerprint: str
    """The digest of the model's name, address and settings, which ``run.json`` spells out."""
    seed: int | None
    """What it was sampled with; None where sampling was off."""
    text: str | None
    """The answer, or None when the call failed."""
    error: str | None = None
    """Why it failed."""
    score: float | None = None
    """What the scorer said, higher is better."""
    score_error: str | None = None
    """Why it has no score, where one was wanted."""
    logprob: float | None = None
    """Mean log-probability of its tokens, where the model reported it."""
    tokens_in: int = 0
    """Prompt tokens."""
    tokens_out: int = 0
    """Completion tokens."""
    cost_usd: float = 0.0
    """What they cost by the catalogue's prices."""


@dataclass(frozen=True)
class FusedAnswer:
    """What the fusor wrote."""

    fusor: str
    """The fusor's name in the catalogue."""
    model: str
    """The model string that was called."""
    fingerprint: str
    """The digest of the model's name, address and settings."""
    instructions: str
    """The first 12 hexadecimal digits of the SHA-256 digest of what it was told."""
    shown: tuple[int, ...]
    """Indexes of the candidates in the order in which it saw them."""
    text: str | None
    """The answer, or None when the call failed."""
    error: str | None = None
    """Why it failed."""
    tokens_in: int = 0
    """Prompt tokens."""
    tokens_out: int = 0
    """Completion tokens."""
    cost_usd: float = 0.0
    """What they cost by the catalogue's prices."""


@dataclass(frozen=True)
class Dropped:
    """Why a row is not part of the data set."""

    gate: str
    """Which gate it did not pass; ``failed`` where no answer was made."""
    why: str
    """In words."""


@dataclass(frozen=True)
class Row:
    """What was made for one prompt."""

    index: int
    """The prompt's place in the data set, from 0."""
    where: str
    """The file and line, or the data set and row, of the prompt."""
    prompt: str
    """What was asked."""
    language: str
    """The prompt's language: given, or found out by the gates, or empty."""
    seed: int
    """Candidate i was drawn with this and i more."""
    candidates: tuple[TeacherAnswer, ...]
    """In index order, failed ones included."""
    best: int | None = None
    """Index of the candidate with the highest score."""
    fused: FusedAnswer | None = None
    """The fused answer, where one was wanted and there was something to fuse."""
    answer: str | None = None
    """The row's answer: the fused one where fusion was wanted, else the best candidate; None where there is none."""
    usage: Mapping[str, Usage] = field(default_factory=dict)
    """Calls and tokens by role: ``candidates``, ``scorer``, ``fusor``."""
    cost_usd: float = 0.0
    """What all of it cost by the catalogue's prices."""
    scorer_error: str | None = None
    """Why no candidate has a score, where one was wanted."""
    dropped: Dropped | None = None
    """Why the row is not part of the data set; None where it is."""

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that went wrong on the row."""
        errors = [*(candidate.error or candidate.score_error for candidate in self.candidates), self.scorer_error]
        return tuple(error for error in [*errors, self.fused.error if self.fused else None] if error)

    def to_line(self) -> bytes:
        """The row as one line, with its line feed."""
        line = json.dumps(self, default=vars, ensure_ascii=False, allow_nan=False)
        return (without_secrets(line) + "\n").encode("utf-8", "replace")

    @classmethod
    def from_line(cls, line: bytes) -> Row:
        """Reads :meth:`to_line` back.

        Raises:
            RecordError: the line is no row.
        """
        try:
            values: dict[str, Any] = read_json(line)
            fused, dropped = values.get("fused"), values.get("dropped")
            values["candidates"] = tuple(TeacherAnswer(**candidate) for candidate in values["candidates"])
            values["fused"] = FusedAnswer(**{**fused, "shown": tuple(fused["shown"])}) if fused else None
            values["dropped"] = Dropped(**dropped) if dropped else None
            values["usage"] = {role: Usage(**usage) for role, usage in values["usage"].items()}
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(f"not a row: {line[:60]!r} ({error})") from error


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, one at a time.

    Raises:
        RecordError: the file cannot be read, or a line of it is no row.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield Row.from_line(line)
                except RecordError as error:
                    raise RecordError(
                        f"{path}, line {number}: {error}; restore the file, or begin again in another folder"
                    ) from error
    except OSError as error:
        raise RecordError(f"cannot read rows from {path}: {error.strerror}") from error
