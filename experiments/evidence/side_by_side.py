"""A few answers of every strategy beside the candidates they come from.

Won, tied and lost against the best candidate of their pool.

The most telling come first, and every group has its turn. A page cannot hold all answers; how many are left out is said
with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..plans.strategies import Strategy
from ..records.record import CandidateRecord, Record
from .provenance import spans_of
from .summary import Summary

Outcome = Literal["won", "tied", "lost"]
OUTCOMES: tuple[Outcome, ...] = ("won", "tied", "lost")
_EACH = 3  # examples shown of each outcome of a strategy
_MOST = 1_200_000  # characters of all texts shown, so that the page opens quickly
_LONGEST = 6_000  # characters shown of one text
Marker = Callable[[str, str], list[bool]]
"""``(expected, answer)``: whether each line of an answer is right."""


@dataclass(frozen=True)
class Piece:
    """A stretch of an answer; ``mark`` is ``right``, ``wrong``, ``new`` (in no candidate) or empty."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Shown:
    """One answer as it is shown."""

    head: str
    score: float
    pieces: tuple[Piece, ...]
    left_out: int
    """Characters that were cut off the end."""
    remark: str = ""

    @property
    def text(self) -> str:
        """All of what is shown."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Sheet:
    """One answer of a strategy beside its candidates."""

    record: Record
    strategy: int
    """Place of the strategy in the gallery."""
    outcome: Outcome
    question: str
    answer: Shown
    candidates: tuple[Shown, ...]

    @property
    def is_long(self) -> bool:
        """Whether its texts need wide columns."""
        return max(len(text.text) for text in (self.answer, *self.candidates)) > 400

    @property
    def size(self) -> int:
        """Characters of all its texts."""
        return (
            len(self.question) + len(self.record.expected) + sum(len(s.text) for s in (self.answer, *self.candidates))
        )


@dataclass(frozen=True)
class Gallery:
    """What is shown, strategy by strategy."""

    names: tuple[str, ...]
    counts: tuple[dict[Outcome, int], ...]
    """How many answers of each strategy there are of each outcome, shown or not."""
    sheets: tuple[Sheet, ...]
    total: int
    """Answers that could be shown."""


def gallery(
    summary: Summary, records: Sequence[Record], marker: Marker | None = None, *, each: int = _EACH, most: int = _MOST
) -> Gallery:
    """The examples of every strategy that chooses or fuses, fusing ones first.

    Args:
        summary: the comparison.
        records: of its run.
        marker: tells right lines from wrong ones; without it, what is new in fused answers is marked.
        each: examples of each outcome of a strategy.
        most: characters of all texts together; when they are used up, no further example is added.
    """
    strategies = [
        row.strategy for row in summary.rows if row.strategy.n > 1 and row.strategy.role in ("fuse", "parts", "select")
    ]
    strategies.sort(key=lambda strategy: ("fuse", "parts", "select").index(strategy.role))
    sheets: list[Sheet] = []
    counts: list[dict[Outcome, int]] = []
    size = 0
    for place, strategy in enumerate(strategies):
        own = [r for r in records if r.strategy == strategy.name and r.candidates and r.error is None]
        by_outcome: dict[Outcome, list[Record]] = {
            outcome: [r for r in own if outcome_of(r) == outcome] for outcome in OUTCOMES
        }
        counts.append({outcome: len(some) for outcome, some in by_outcome.items()})
        for outcome, some in by_outcome.items():
            for record in _telling(some)[:each]:
                sheet = _sheet(record, strategy, place, outcome, marker)
                size += sheet.size
                sheets += [sheet] if size <= most else []
    return Gallery(
        tuple(s.name for s in strategies), tuple(counts), tuple(sheets), sum(sum(some.values()) for some in counts)
    )


def outcome_of(record: Record) -> Outcome:
    """How an answer stands to the best candidate of its pool."""
    best = record.best_candidate or 0.0
    return "won" if record.score > best else "tied" if record.score == best else "lost"


def _telling(records: Iterable[Record]) -> list[Record]:
    """The widest margins first, the groups taking turns; among equals those with the most different candidates."""

    def worth(record: Record) -> tuple[float, int, str, int]:
        margin = abs(record.score - (record.best_candidate or 0.0))
        return -margin, -len({candidate.text for candidate in record.candidates}), record.example, record.seed

    turns: dict[str, int] = {}
    ranked = []
    for record in sorted(records, key=worth):
        turns[record.group] = turns.get(record.group, 0) + 1
        ranked.append((turns[record.group], worth(record), record))
    return [record for *_, record in sorted(ranked, key=lambda item: item[:2])]


def _sheet(record: Record, strategy: Strategy, place: int, outcome: Outcome, marker: Marker | None) -> Sheet:
    texts = [candidate.text for candidate in record.candidates if candidate.text is not None]
    answer = record.answer or ""
    pieces = (
        _lines(record, answer, marker)
        if marker
        else _spans(answer, texts)
        if strategy.role == "fuse"
        else (Piece(answer),)
    )
    shown = _cut(strategy.name, record.score, pieces, f"fell back: {record.fallback}" if record.fallback else "")
    question = "\n".join(str(value) for value in record.inputs.values())
    candidates = tuple(_candidate(record, i, candidate, marker) for i, candidate in enumerate(record.candidates))
    return Sheet(record, place, outcome, question[:_LONGEST], shown, candidates)


def _candidate(record: Record, index: int, candidate: CandidateRecord, marker: Marker | None) -> Shown:
    head = f"candidate {index}: {candidate.model}"
    if candidate.text is None:
        return Shown(head, candidate.score, (Piece(f"(failed) {candidate.error or ''}"),), 0)
    remarks = []
    if index in record.shown:
        remarks.append(f"shown {record.shown.index(index) + 1}.")
    if candidate.text == record.answer:
        remarks.append("same as the answer")
    pieces = _lines(record, candidate.text, marker) if marker else (Piece(candidate.text),)
    return _cut(head, candidate.score, pieces, ", ".join(remarks))


def _lines(record: Record, answer: str, marker: Marker) -> tuple[Piece, ...]:
    marks = marker(record.expected, answer)
    return tuple(
        Piece(f"{line}\n", "right" if mark else "wrong") for line, mark in zip(answer.splitlines(), marks, strict=True)
    )


def _spans(answer: str, texts: Sequence[str]) -> tuple[Piece, ...]:
    return tuple(Piece(span.text, "" if span.sources or not texts else "new") for span in spans_of(answer, texts))


def _cut(head: str, score: float, pieces: Iterable[Piece], remark: str) -> Shown:
    cut: list[Piece] = []
    room, left_out = _LONGEST, 0
    for piece in pieces:
        cut += [Piece(piece.text[:room], piece.mark)] if room else []
        left_out += max(0, len(piece.text) - room)
        room = max(0, room - len(piece.text))
    return Shown(head, score, tuple(cut), left_out, remark)
