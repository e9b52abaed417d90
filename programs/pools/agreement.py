"""Agreement: how much of a pool says what the answer says, field by field and as a whole, without any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .candidates import Candidate
from .clusters import clusters, labels
from .shared_parts import shared

Partly = Callable[[str], bool]
"""Whether answers can say the same in part of a field."""
Groups = Callable[[str, Sequence[Any]], list[list[int]]]
"""From a field's name and values to the places of equal ones."""


@dataclass(frozen=True)
class Agreement:
    """Shares of the candidates that succeeded, each in [0, 1].

    Attributes:
        by_field: of those that say in this field what the answer says; where they can do so in part, such as in a text
            of several lines, each counts with its part.
        whole: of those that do so in every field that was looked at together; each counts with its least part.
    """

    by_field: Mapping[str, float]
    whole: float


def agreement_with(
    answer: Mapping[str, Any],
    candidates: Sequence[Candidate],
    *,
    groups: Groups,
    together: Sequence[str],
    weights: Sequence[float] | None = None,
    partly: Partly = lambda name: False,
) -> Agreement:
    """How much of a pool agrees with an answer.

    A single candidate agrees with itself in full, so a pool of one says nothing about an answer.

    Args:
        answer: the output fields.
        candidates: the pool; those that failed do not count.
        groups: which values of a field are equal.
        together: the fields that count for ``whole``.
        weights: of the candidates that succeeded, each at least 0; None, or weights of which none is above 0, count
            each as one.
        partly: the fields in which a candidate can say part of what the answer says; see
            :func:`~dspy_fusion.programs.pools.shared_parts.shared`.
    """
    said = [candidate.prediction for candidate in candidates if candidate.prediction is not None]
    votes = [1.0] * len(said) if weights is None or not any(weights) else list(weights)
    values = {name: [one.get(name) for one in said] for name in answer}
    same = {
        name: _same(groups(name, [*values[name], answer[name]]), values[name], answer[name] if partly(name) else None)
        for name in answer
    }
    by_field = {name: _share(votes, places) for name, places in same.items()}
    joint = [min((same[name][place] for name in together if name in same), default=1.0) for place in range(len(said))]
    return Agreement(by_field, _share(votes, joint))


def joint_groups(by_field: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    """The groups of places that are equal in every one of several fields."""
    return clusters(list(zip(*map(labels, by_field), strict=True)), normalize=tuple)


def _same(groups: Sequence[Sequence[int]], values: Sequence[Any], answer: Any) -> list[float]:
    """Per candidate, how far it says the same as the last value of the groups, the answer's."""
    numbers = labels(groups)
    wholes = [number == numbers[-1] for number in numbers[:-1]]
    if answer is None:
        return [float(whole) for whole in wholes]
    return [1.0 if whole else shared(answer, value) for whole, value in zip(wholes, values, strict=True)]


def _share(votes: Sequence[float], parts: Sequence[float]) -> float:
    total = sum(votes)
    return min(1.0, sum(vote * part for vote, part in zip(votes, parts, strict=True)) / total) if total else 0.0
