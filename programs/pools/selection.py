"""The rules by which candidates are chosen: pure functions, seeded where they draw, ties to the lowest index."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Hashable, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import dspy

from ..tasks.signatures import plain
from .candidates import Candidate


def best_scored(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate with the highest score, or None when none has one."""
    scored = [candidate for candidate in candidates if candidate.ok and candidate.score is not None]
    return max(scored, key=lambda candidate: (candidate.score, -candidate.index), default=None)


def winner(keys: Sequence[Hashable], weights: Sequence[float] | None = None) -> int:
    """The place of the first key that belongs to the heaviest group of equal keys;
    among equally heavy groups the first to appear.
    """
    totals: dict[Hashable, float] = {}
    for key, weight in zip(keys, weights or [1.0] * len(keys), strict=True):
        totals[key] = totals.get(key, 0.0) + weight
    heaviest = max(totals.values())
    return next(place for place, key in enumerate(keys) if totals[key] == heaviest)


def fallback(task: type[dspy.Signature], candidates: Sequence[Candidate]) -> Candidate:
    """The best candidate there is without a fusor: by score, else by vote over whole answers, else the lowest index."""
    good = [candidate for candidate in candidates if candidate.ok]
    return best_scored(good) or good[winner([_whole(task, candidate) for candidate in good])]


def normalized(value: Any) -> Hashable:
    """An answer as votes compare it: text in NFKC, lower case, single spaces, without a closing full stop;
    other values by their data.
    """
    if isinstance(value, str) and not isinstance(value, Enum):
        return " ".join(unicodedata.normalize("NFKC", value).casefold().split()).rstrip(" .")
    return value if isinstance(value, bool | int | float | Enum | None) else repr(plain(value))


def votable_fields(task: type[dspy.Signature]) -> list[str]:
    """The output fields whose answers can be equal in meaning only by being equal: Literal, bool, int, float, Enum;
    else the last field.
    """
    exact = [name for name, field in task.output_fields.items() if _is_exact(field.annotation)]
    return exact or [list(task.output_fields)[-1]]


def shown_order(count: int, *, seed: int, digest: str, subset: int | None = None) -> list[int]:
    """A seeded order of ``count`` places, cut to ``subset`` of them; the digest makes it differ from input to input."""
    order = list(range(count))
    random.Random(f"{seed} {digest}").shuffle(order)
    return order if subset is None else order[:subset]


def _is_exact(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return True
    if isinstance(annotation, type):
        return issubclass(annotation, bool | int | float | Enum)
    members = [member for member in get_args(annotation) if member is not type(None)]
    return bool(members) and get_origin(annotation) is not list and all(_is_exact(member) for member in members)


def _whole(task: type[dspy.Signature], candidate: Candidate) -> Hashable:
    prediction = candidate.prediction
    return tuple(normalized(prediction[name]) for name in task.output_fields) if prediction is not None else ()
