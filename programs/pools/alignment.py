"""Alignment: which items of several lists are the same item, in which order they stand, and which of them stay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .equality import normalized
from .resemblance import middle, parts_of, resemblance

ALIKE = 0.5
"""Items that resemble each other less than this are two items."""
Likeness = Callable[[Any, Any], float]


@dataclass
class Slot:
    """One item as several lists have it: the item by the number of its list, and where it stands there."""

    items: dict[int, Any] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, place: int, item: Any) -> None:
        """Adds a list's item."""
        self.items[number], self.places[number] = item, place


def aligned(lists: Sequence[Sequence[Any]], weights: Sequence[float], likeness: Likeness = resemblance) -> list[Slot]:
    """The items of several lists, each once, in the order that most lists have them in.

    The list that is most like all others comes first; each further one is assigned to what there is so that the
    resemblance of all pairs together is greatest, and items that resemble nothing become items of their own.
    """
    first = middle([list(items) for items in lists], weights)
    slots: list[Slot] = []
    for number in [first, *(n for n in range(len(lists)) if n != first)]:
        _assign(slots, number, lists[number], likeness)
    return _ordered(slots, weights)


def kept(slots: Sequence[Slot], weights: Sequence[float]) -> list[Slot]:
    """The items that at least half of the lists have, by weight."""
    total = math.fsum(weights)
    return [slot for slot in slots if 2 * math.fsum(weights[n] for n in slot.items) >= total - 1e-12]


def by_key(name: str) -> Likeness:
    """Items are one where this field of theirs is equal, and two where it differs; items without it by resemblance."""

    def likeness(left: Any, right: Any) -> float:
        one, other = key_of(left, name), key_of(right, name)
        if one is None or other is None:
            return resemblance(left, right) * 0.99  # never before a pair with equal keys
        return float(normalized(one) == normalized(other))

    return likeness


def key_of(item: Any, name: str) -> Any:
    """The field of an item by which it is aligned; None where it has none."""
    return (parts_of(item) or {}).get(name)


def assignment(gains: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs of rows and columns, each at most once, whose gains together are greatest.

    The Hungarian method by shortest augmenting paths, in O(rows^2 * columns). It is written out because lists are short
    and scipy would be a dependency of every program.
    """
    if not gains or not gains[0]:
        return []
    if len(gains) > len(gains[0]):
        return sorted((row, column) for column, row in assignment([list(line) for line in zip(*gains, strict=True)]))
    rows, columns = len(gains), len(gains[0])
    row_price, column_price, owner = [0.0] * (rows + 1), [0.0] * (columns + 1), [0] * (columns + 1)
    for row in range(1, rows + 1):
        _augment(gains, row, row_price, column_price, owner)
    return sorted((owner[column] - 1, column - 1) for column in range(1, columns + 1) if owner[column])


def _augment(
    gains: Sequence[Sequence[float]],
    row: int,
    row_price: list[float],
    column_price: list[float],
    owner: list[int],
) -> None:
    """Gives one more row a column, moving others where that is better; prices and owners change in place."""
    columns = len(column_price)
    owner[0], at = row, 0
    least, before, done = [math.inf] * columns, [0] * columns, [False] * columns
    while owner[at]:
        done[at] = True
        here, step, following = owner[at], math.inf, 0
        for column in (c for c in range(1, columns) if not done[c]):
            cost = -gains[here - 1][column - 1] - row_price[here] - column_price[column]
            if cost < least[column]:
                least[column], before[column] = cost, at
            if least[column] < step:
                step, following = least[column], column
        for column in range(columns):
            if done[column]:
                row_price[owner[column]] += step
                column_price[column] -= step
            else:
                least[column] -= step
        at = following
    while at:
        owner[at], at = owner[before[at]], before[at]


def _assign(slots: list[Slot], number: int, items: Sequence[Any], likeness: Likeness) -> None:
    gains = [[max(likeness(mine, item) for mine in list(slot.items.values())[:3]) for item in items] for slot in slots]
    pairs = {c: r for r, c in assignment(gains) if gains[r][c] >= ALIKE}
    for place, item in enumerate(items):
        if place not in pairs:
            slots.append(Slot())
        (slots[pairs[place]] if place in pairs else slots[-1]).add(number, place, item)


def _ordered(slots: list[Slot], weights: Sequence[float]) -> list[Slot]:
    """By how many others a slot stands before in most lists that have both."""

    def before(left: Slot, right: Slot) -> float:
        common = left.places.keys() & right.places.keys()
        return math.fsum(weights[n] * (1 if left.places[n] < right.places[n] else -1) for n in sorted(common))

    def place(slot: Slot) -> float:
        return math.fsum(slot.places.values()) / len(slot.places)

    wins = {id(slot): sum(before(slot, other) > 0 for other in slots if other is not slot) for slot in slots}
    losses = {id(slot): sum(before(slot, other) < 0 for other in slots if other is not slot) for slot in slots}
    return sorted(slots, key=lambda slot: (losses[id(slot)] - wins[id(slot)], place(slot)))
