"""Resemblance: how alike two values are, by which items of lists are paired and the middle one of texts is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from numbers import Real
from typing import Any

import dspy
from pydantic import BaseModel

from .equality import normalized
from .folding import folded_text

_LONGEST = 400  # characters of a text that are compared


def resemblance(left: Any, right: Any) -> float:
    """How alike two values are, in [0, 1]: 1 for equal ones.

    Texts by the character trigrams they share (Dice), numbers by their distance as a share of the larger, records by
    the mean over all fields of either, lists by the mean over places, sets by shared items; anything else is equal or
    not.
    """
    if left is right:
        return 1.0
    if isinstance(left, str) and isinstance(right, str):
        return text_resemblance(left[:_LONGEST], right[:_LONGEST])
    if (one := parts_of(left)) is not None and (other := parts_of(right)) is not None:
        names = [*one, *(name for name in other if name not in one)]
        return _mean([resemblance(one[n], other[n]) if n in one and n in other else 0.0 for n in names])
    if _is_number(left) and _is_number(right):
        return _closeness(float(left), float(right))
    if _is_list(left) and _is_list(right):
        pairs = [resemblance(a, b) for a, b in zip(left, right, strict=False)]
        return _mean([*pairs, *[0.0] * abs(len(left) - len(right))])
    if isinstance(left, Set) and isinstance(right, Set):
        one, other = set(map(normalized, left)), set(map(normalized, right))
        return len(one & other) / len(one | other) if one | other else 1.0
    return float(normalized(left) == normalized(right))


@lru_cache(maxsize=50_000)
def text_resemblance(left: str, right: str) -> float:
    """The share of character trigrams that two texts have in common (Dice), after folding."""
    if (one := folded_text(left)) == (other := folded_text(right)):
        return 1.0
    first, second = _trigrams(one), _trigrams(other)
    return 2 * len(first & second) / (len(first) + len(second))


def parts_of(value: Any) -> dict[str, Any] | None:
    """A record's fields by name; None for what is none."""
    if isinstance(value, BaseModel) and not isinstance(value, dspy.Type) and type(value).model_fields:
        names = (*type(value).model_fields, *(value.model_extra or {}))
        return {name: getattr(value, name) for name in names} if "root" not in type(value).model_fields else None
    return {str(name): part for name, part in value.items()} if isinstance(value, Mapping) else None


def middle(values: Sequence[Any], weights: Sequence[float]) -> int:
    """The place of the value that is most like all others; ties go to the lowest place."""
    likeness = [
        math.fsum(weight * resemblance(value, other) for other, weight in zip(values, weights, strict=True))
        for value in values
    ]
    return max(range(len(values)), key=lambda place: (round(likeness[place], 9), -place))


def _trigrams(text: str) -> frozenset[str]:
    padded = f"  {text} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _closeness(left: float, right: float) -> float:
    if left == right:
        return 1.0
    largest = max(abs(left), abs(right))
    return max(0.0, 1 - abs(left - right) / largest) if math.isfinite(largest) else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 1.0
