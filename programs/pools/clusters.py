"""Which candidates say the same, field by field: the one notion of agreement that votes, fallbacks and gates share."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from .equality import Number, normalized, split

TOLERANCE = 1e-9
"""How far two floats may differ, as a share of the larger one, to be equal."""
NEAR_ZERO = 1e-15
"""How far two floats may differ in any case; what rounding leaves of 0.1 + 0.2 - 0.3 equals 0."""


class _Form(NamedTuple):
    """Values that are one but for the numbers in them can be close."""

    shape: Hashable
    numbers: tuple[Number, ...]


def clusters(
    values: Sequence[Any],
    annotation: Any = None,
    *,
    normalize: Callable[[Any], Any] | None = None,
    tolerance: float = TOLERANCE,
) -> list[list[int]]:
    """Groups of equal values, as places in ``values``.

    Values are equal as :func:`~dspy_fusion.programs.pools.equality.normalized` says, and floats where they differ by at
    most ``tolerance`` of the larger one (integers, decimals and fractions are never merely close to each other).
    Closeness is not transitive: a group forms around the value that most others are close to (ties: the smallest
    value), then another around what is left. So a chain of close values is not one group, all members of a group are
    close to one of them, and the order of the values does not matter.

    Args:
        values: of one field, one a candidate.
        annotation: the field's type, as in :func:`normalized`.
        normalize: from a value to what is compared instead; what it returns is compared exactly.
        tolerance: at least 0; 0 compares floats exactly.

    Returns:
        The groups in the order of their first members, each in ascending order; every place is in one.
    """
    if normalize is not None:
        return _grouped([_exact(normalize(value)) for value in values])
    forms = [_Form(*split(normalized(value, annotation))) for value in values]
    by_shape = _grouped([form.shape for form in forms])
    groups = [group for places in by_shape for group in _around({p: forms[p].numbers for p in places}, tolerance)]
    return sorted(groups, key=lambda group: group[0])


def labels(groups: Sequence[Sequence[int]]) -> list[int]:
    """The number of the group that each place is in."""
    by_place = {place: number for number, group in enumerate(groups) for place in group}
    return [by_place[place] for place in sorted(by_place)]


def shares(groups: Sequence[Sequence[int]], weights: Sequence[float] | None = None) -> list[float]:
    """The share of all votes that each group has, in [0, 1]; equal weights by default (see :func:`vote_weights`)."""
    count = sum(len(group) for group in groups)
    votes = [1.0] * count if weights is None else vote_weights(weights)
    total = sum(votes) or 1.0
    return [sum(votes[place] for place in group) / total for group in groups]


def vote_weights(scores: Sequence[float]) -> list[float]:
    """What votes weigh whose candidates have these scores, each at least 0.

    Scores that are shares or other numbers of at least 0 are weights as they are. Where one is negative they are
    log-probabilities, logits or penalties, whose sum would reward the answer that was given less often; then a vote
    weighs exp(score - highest score), as in CISC (arXiv 2502.06233). A score that is not a number weighs nothing.
    """
    known = [score for score in scores if not math.isnan(score)]
    if min(known, default=0.0) >= 0:
        return [0.0 if math.isnan(score) else score for score in scores]
    highest = max(known)
    return [0.0 if math.isnan(score) else 1.0 if score == highest else math.exp(score - highest) for score in scores]


def heaviest(groups: Sequence[Sequence[int]], weights: Sequence[float] | None = None) -> int:
    """The first place of the heaviest group; among equally heavy ones of that which appears first.

    Args:
        groups: of places.
        weights: of each place's vote; None counts each as one.
    """
    totals = [len(group) if weights is None else math.fsum(weights[place] for place in group) for group in groups]
    return min(zip(totals, groups, strict=True), key=lambda pair: (-pair[0], pair[1][0]))[1][0]


def _grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return list(places.values())


def _exact(key: Any) -> Hashable:
    """What a caller's own rule gave, as it is; NaN is one value, and what cannot be hashed goes by its data."""
    try:
        hash(key)
    except TypeError:
        return normalized(key)
    return "nan" if isinstance(key, float) and math.isnan(key) else key


def _around(rest: dict[int, tuple[Number, ...]], tolerance: float) -> list[list[int]]:
    """Groups of places of one shape: around the numbers that most are close to, until none are left."""
    by_numbers: dict[tuple[Number, ...], list[int]] = {}
    for place, numbers in rest.items():
        by_numbers.setdefault(numbers, []).append(place)
    groups = []
    while by_numbers:
        near = {n: [other for other in by_numbers if _close(n, other, tolerance)] for n in by_numbers}
        size = {numbers: sum(len(by_numbers[other]) for other in close) for numbers, close in near.items()}
        centre = min(by_numbers, key=lambda numbers: (-size[numbers], [number.size for number in numbers]))
        groups.append(sorted(place for numbers in near[centre] for place in by_numbers[numbers]))
        by_numbers = {numbers: places for numbers, places in by_numbers.items() if numbers not in near[centre]}
    return groups


def _close(left: tuple[Number, ...], right: tuple[Number, ...], tolerance: float) -> bool:
    return all(
        a.value == b.value
        if a.exact and b.exact
        else math.isclose(a.size, b.size, rel_tol=tolerance, abs_tol=min(NEAR_ZERO, tolerance))
        for a, b in zip(left, right, strict=True)
    )
