"""What each candidate gave to one fused answer: by its parts where the task has parts, otherwise by its words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..records.record import Record
from .provenance import shared_in_order, spans_of


@dataclass(frozen=True)
class Following:
    """The answer shared out; ``common``, ``new`` and ``given`` add up to 1."""

    given: tuple[float, ...]
    """The share that each candidate gave, in index order; what several but not all share counts in equal fractions;
    0 for a failed one.
    """
    common: float
    """What all candidates say."""
    new: float
    """What none of them says; parts that are missing count here too."""
    main_source: float
    """How much of the answer the candidate that gave most to it has in the same order, in words; 1 for a copy."""


Followed = tuple[Record, Following]
"""A record and what its candidates gave to its answer."""


def followed(records: Iterable[Record]) -> list[Followed]:
    """The records whose answers can be shared out, each with its shares."""
    return [(record, candidate) for record in records if (candidate := following(record)) is not None]


def following(record: Record) -> Following | None:
    """What the candidates gave to a record's answer.

    None where there is no answer, no candidate, or the answer is a fallback.
    """
    if not record.answer or record.error or record.fallback:
        return None
    texts = {i: candidate.text for i, candidate in enumerate(record.candidates) if candidate.text is not None}
    if not texts:
        return None
    pieces = [(1.0, part.same_as if part.given else ()) for part in record.parts] or _words(record.answer, texts)
    total = sum(weight for weight, _ in pieces)
    if not total:
        return None
    shares, common, new = [0.0] * len(record.candidates), 0.0, 0.0
    for weight, sources in pieces:
        common += weight / total if len(sources) == len(texts) else 0.0
        new += 0.0 if sources else weight / total
        for source in sources if len(sources) < len(texts) else ():
            shares[source] += weight / total / len(sources)
    main = max(texts, key=lambda index: shares[index])
    return Following(tuple(shares), common, new, shared_in_order(record.answer, texts[main]))


def _words(answer: str, texts: dict[int, str]) -> list[tuple[float, tuple[int, ...]]]:
    places = list(texts)
    return [
        (float(span.words), tuple(places[i] for i in span.sources)) for span in spans_of(answer, list(texts.values()))
    ]
