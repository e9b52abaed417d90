"""The rules by which candidates are chosen: pure functions, seeded where they draw, ties to the lowest index."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Number
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import dspy
from dspy.adapters.types.decision import Choice, Noul, Score
from pydantic import BaseModel

from .candidates import Candidate
from .clusters import TOLERANCE, clusters, heaviest, labels, vote_weights
from .equality import alternatives, normalized

__all__ = [
    "best_scored",
    "fallback",
    "field_groups",
    "normalized",
    "same_answers",
    "shown_order",
    "votable_fields",
    "winner",
]

_EXACT: tuple[Any, ...] = (Number, Decimal, Enum, date, time, timedelta, UUID, Choice, Score, Noul, dspy.ToolCalls)


def best_scored(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate with the highest score, or None when none has one."""
    scored = [candidate for candidate in candidates if candidate.ok and candidate.score is not None]
    return max(scored, key=lambda candidate: (candidate.score, -candidate.index), default=None)


def winner(keys: Sequence[Hashable], weights: Sequence[float] | None = None) -> int:
    """The place of the first key that belongs to the heaviest group of equal keys; see :func:`heaviest`."""
    return heaviest(clusters(keys, normalize=lambda key: key), None if weights is None else vote_weights(weights))


def fallback(task: type[dspy.Signature], candidates: Sequence[Candidate]) -> Candidate:
    """The best candidate there is without a fusor: by score, else by vote over whole answers, else the lowest index."""
    good = [candidate for candidate in candidates if candidate.ok]
    return best_scored(good) or good[heaviest(same_answers(task, good))]


def same_answers(task: type[dspy.Signature], candidates: Sequence[Candidate]) -> list[list[int]]:
    """Groups of candidates (places in the sequence) that say the same in every output field of the task."""
    fields = [labels(field_groups(task, name, candidates)) for name in task.output_fields]
    return clusters(list(zip(*fields, strict=True)), normalize=tuple)


def field_groups(
    task: type[dspy.Signature],
    name: str,
    candidates: Sequence[Candidate],
    *,
    normalize: Callable[[Any], Any] | None = None,
    tolerance: float = TOLERANCE,
) -> list[list[int]]:
    """Groups of candidates (places in the sequence) that say the same in one output field; see :func:`clusters`."""
    values = [None if c.prediction is None else c.prediction.get(name) for c in candidates]
    return clusters(values, task.output_fields[name].annotation, normalize=normalize, tolerance=tolerance)


def votable_fields(task: type[dspy.Signature]) -> list[str]:
    """The output fields whose answers can be equal in meaning only by being equal; else the last field.

    These are of type Literal, bool, int, float, Decimal, Enum, date, time, UUID, of DSPy's ``Choice``, ``Score`` and
    ``Noul``, tool calls, lists, sets, mappings and tuples of them, and models all of whose fields are such.
    """
    exact = [name for name, field in task.output_fields.items() if is_exact(field.annotation)]
    return exact or [list(task.output_fields)[-1]]


def shown_order(count: int, *, seed: int, digest: str, subset: int | None = None) -> list[int]:
    """A seeded order of ``count`` places, cut to ``subset`` of them; the digest makes it differ from input to input."""
    order = list(range(count))
    random.Random(f"{seed} {digest}").shuffle(order)
    return order if subset is None else order[:subset]


def is_exact(annotation: Any) -> bool:
    """Whether values of a type can be equal in meaning only by being equal; see :func:`votable_fields`."""
    kinds = alternatives(annotation)
    return bool(kinds) and all(_is_exact_kind(kind) for kind in kinds)


def _is_exact_kind(kind: Any) -> bool:
    origin, parts = get_origin(kind), [part for part in get_args(kind) if part is not ...]
    if origin is Literal:
        return True
    if origin is not None:
        values = parts[1:] if isinstance(origin, type) and issubclass(origin, Mapping) else parts
        return bool(values) and isinstance(origin, type) and all(is_exact(part) for part in values)
    if not isinstance(kind, type):
        return False
    if issubclass(kind, _EXACT):
        return True
    fields = kind.model_fields.values() if issubclass(kind, BaseModel) and not issubclass(kind, dspy.Type) else ()
    return bool(fields) and all(is_exact(field.annotation) for field in fields)
