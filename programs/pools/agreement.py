"""Agreement: how much of a pool says what the answer says, field by field and as a whole, without any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from .candidates import Candidate
from .clusters import TOLERANCE, clusters, labels

Groups = Callable[[str, Sequence[Any]], list[list[int]]]
"""From a field's name and values to the places of equal ones."""


@dataclass(frozen=True)
class Agreement:
    """Shares of the candidates that succeeded, each in [0, 1].

    Attributes:
        by_field: of those that say in this field what the answer says.
        whole: of those that do so in every field that was looked at together.
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
    """
    said = [candidate.prediction for candidate in candidates if candidate.prediction is not None]
    votes = [1.0] * len(said) if weights is None or not any(weights) else list(weights)
    same = {name: _same(groups(name, [one.get(name) for one in said] + [answer[name]])) for name in answer}
    by_field = {name: _share(votes, places) for name, places in same.items()}
    joint = [all(same[name][place] for name in together if name in same) for place in range(len(said))]
    return Agreement(by_field, _share(votes, joint))


def exact_groups(task: type[dspy.Signature]) -> Groups:
    """Values of a field are equal as :func:`~dspy_fusion.programs.pools.clusters.clusters` says of the field's type."""

    def groups(name: str, values: Sequence[Any]) -> list[list[int]]:
        field = task.output_fields.get(name)
        return clusters(values, None if field is None else field.annotation, tolerance=TOLERANCE)

    return groups


def joint_groups(by_field: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    """The groups of places that are equal in every one of several fields."""
    return clusters(list(zip(*map(labels, by_field), strict=True)), normalize=tuple)


def _same(groups: Sequence[Sequence[int]]) -> list[bool]:
    """Per candidate, whether it says the same as the last value, the answer's."""
    numbers = labels(groups)
    return [number == numbers[-1] for number in numbers[:-1]]


def _share(votes: Sequence[float], places: Sequence[bool]) -> float:
    total = sum(votes)
    return min(1.0, sum(vote for vote, counts in zip(votes, places, strict=True) if counts) / total) if total else 0.0
