"""Merging candidates leaf by leaf: what most of them say, however deep it stands, and which texts they disagree on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from numbers import Real
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from .alignment import aligned, by_key, kept, key_of
from .clusters import clusters, heaviest, shares
from .equality import alternatives, normalized
from .resemblance import middle, parts_of, resemblance

CLOSE = 0.01
"""How far two floats may differ, as a share of the larger one, to be one value written with other care."""


@dataclass
class Merging:
    """How values are merged, and what is noted on the way.

    Attributes:
        weights: of the candidates' votes, each at least 0.
        tolerance: how far floats of one group may differ, as a share of the larger one.
        settled_at: the share of votes at which a free text is settled, in [0, 1].
        keys: from the path of a list (``order.items``, without places) to the field that its items are aligned by.
        leaves: per path, the share of votes that its value got, in [0, 1].
        open: paths of free texts on which candidates disagree, in order.
        unkeyed: per path of a list, how many items lack the field that they should be aligned by.
    """

    weights: Sequence[float]
    tolerance: float = CLOSE
    settled_at: float = 1.0
    keys: Mapping[str, str] = field(default_factory=dict)
    leaves: dict[str, float] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    unkeyed: dict[str, int] = field(default_factory=dict)

    def merged(self, values: Mapping[int, Any], annotation: Any, path: str) -> Any:
        """One value from several, by candidate number; notes the shares of its leaves."""
        rest = {n: value for n, value in values.items() if value is not None}
        if self._weight(rest) * 2 < self._weight(values) or not rest:
            self.leaves[path] = self._share([n for n in values if n not in rest])
            return None
        if all(parts_of(value) is not None for value in rest.values()):
            return self._record(rest, annotation, path)
        if all(isinstance(value, list | tuple) for value in rest.values()) and not _named(rest):
            return self._list(rest, annotation, path)
        if all(isinstance(value, Set) for value in rest.values()):
            return self._set(rest, path)
        return self._leaf(rest, annotation, path)

    def _record(self, values: Mapping[int, Any], annotation: Any, path: str) -> Any:
        by_name: dict[str, dict[int, Any]] = {}
        for number, value in values.items():
            for name, part in (parts_of(value) or {}).items():
                by_name.setdefault(name, {})[number] = part
        sample = values[next(iter(values))]
        model = isinstance(sample, BaseModel)
        if not model:
            by_name = {
                name: parts for name, parts in by_name.items() if 2 * self._weight(parts) >= self._weight(values)
            }
        types = type(sample).model_fields if model else {}
        inner = _item_type(annotation, last=True)
        made = {
            name: self.merged(parts, types[name].annotation if name in types else inner, f"{path}.{name}")
            for name, parts in by_name.items()
        }
        return _rebuilt(sample, made, list(values.values()))

    def _list(self, values: Mapping[int, Any], annotation: Any, path: str) -> Any:
        numbers, lists = list(values), [list(value) for value in values.values()]
        weights = [self.weights[n] for n in numbers]
        key = self.keys.get(_bare(path))
        if key is not None and (lacking := sum(key_of(item, key) is None for items in lists for item in items)):
            self.unkeyed[_bare(path)] = self.unkeyed.get(_bare(path), 0) + lacking
        slots = kept(aligned(lists, weights, resemblance if key is None else by_key(key)), weights)
        if not slots:
            self.leaves[path] = self._share([n for n, items in zip(numbers, lists, strict=True) if not items])
        inner = _item_type(annotation)
        made = [
            self.merged({numbers[i]: item for i, item in slot.items.items()}, inner, f"{path}[{place}]")
            for place, slot in enumerate(slots)
        ]
        return tuple(made) if all(isinstance(value, tuple) for value in values.values()) else made

    def _set(self, values: Mapping[int, Any], path: str) -> Any:
        sides: dict[Any, list[int]] = {}
        forms: dict[Any, Any] = {}
        for number, items in values.items():
            for item in sorted(items, key=repr):
                sides.setdefault(normalized(item), []).append(number)
                forms.setdefault(normalized(item), item)
        stay = [key for key, numbers in sides.items() if 2 * self._weight(numbers) >= self._weight(values)]
        self.leaves[path] = min((self._share(sides[key]) for key in stay), default=self._share(values))
        return type(values[next(iter(values))])(forms[key] for key in stay)

    def _leaf(self, values: Mapping[int, Any], annotation: Any, path: str) -> Any:
        numbers, said = list(values), list(values.values())
        weights = [self.weights[n] for n in numbers]
        groups = clusters(said, annotation, tolerance=self.tolerance)
        first = heaviest(groups, weights)
        number, group = next((g, group) for g, group in enumerate(groups) if first in group)
        self.leaves[path] = shares(groups, weights)[number] * self._weight(values) / self._total
        if is_free_text(annotation, said) and self.leaves[path] < self.settled_at - 1e-12:
            self.open.append(path)
            ahead = len(group) > 1 and sum(len(g) == len(group) for g in groups) == 1
            return said[first] if ahead else said[middle(said, weights)]
        return _typical([said[place] for place in group]) if isinstance(said[first], float) else said[first]

    @property
    def _total(self) -> float:
        return math.fsum(self.weights) or 1.0

    def _weight(self, numbers: Any) -> float:
        return math.fsum(self.weights[n] for n in numbers)

    def _share(self, numbers: Any) -> float:
        return self._weight(numbers) / self._total


def is_free_text(annotation: Any, values: Sequence[Any]) -> bool:
    """Whether values are texts that can be right in many wordings: strings of no Literal and no Enum."""
    kinds = alternatives(annotation)
    closed = any(get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)) for kind in kinds)
    return not closed and any(isinstance(value, str) and not isinstance(value, Enum) for value in values)


def _typical(values: Sequence[float]) -> float:
    """What most members of a group of close numbers say, and the middle one where no two say the same."""
    (value, count), *_ = sorted(((v, values.count(v)) for v in values), key=lambda pair: -pair[1])
    numbers = [v for v in values if isinstance(v, Real)]
    return value if count > 1 or not numbers else statistics.median_low(numbers)


def _item_type(annotation: Any, *, last: bool = False) -> Any:
    for kind in alternatives(annotation):
        parts = [part for part in get_args(kind) if part is not ...]
        if parts:
            return parts[-1 if last else 0]
    return None


def _rebuilt(sample: Any, parts: dict[str, Any], values: Sequence[Any]) -> Any:
    """A record of these parts; the value most like the others where the parts together are not allowed."""
    if not isinstance(sample, BaseModel):
        return {next((k for v in values for k in v if str(k) == name), name): part for name, part in parts.items()}
    try:
        return type(sample).model_validate(
            {
                (info.alias if (info := type(sample).model_fields.get(n)) and info.alias else n): v
                for n, v in parts.items()
            }
        )
    except ValueError:
        return values[middle(values, [1.0] * len(values))]


def _named(values: Mapping[int, Any]) -> bool:
    return any(hasattr(value, "_fields") for value in values.values())


def _bare(path: str) -> str:
    """A path without places: ``items[2].name`` as ``items.name``."""
    return "".join(part.split("]", 1)[-1] for part in path.split("["))


def put(value: Any, path: str, leaf: Any) -> Any:
    """A copy of a value with the leaf at a path (``.name``, ``[2]``) replaced.

    Raises:
        LookupError: there is no such place.
    """
    if not path:
        return leaf
    if path.startswith("["):
        place, rest = path[1:].split("]", 1)
        items = list(value)
        items[int(place)] = put(items[int(place)], rest, leaf)
        return tuple(items) if isinstance(value, tuple) else items
    name, rest = _step(path)
    parts = parts_of(value)
    if parts is None or name not in parts:
        raise LookupError(f"there is no {name!r}")
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: put(parts[name], rest, leaf)})
    return {key: put(part, rest, leaf) if str(key) == name else part for key, part in value.items()}


def get(value: Any, path: str) -> Any:
    """The leaf at a path; ``LookupError`` where there is none."""
    if not path:
        return value
    if path.startswith("["):
        place, rest = path[1:].split("]", 1)
        if not isinstance(value, list | tuple):
            raise LookupError("there is no list")
        return get(value[int(place)], rest)
    name, rest = _step(path)
    return get((parts_of(value) or {})[name], rest)


def _step(path: str) -> tuple[str, str]:
    name = path[1:]
    end = min((place for place in (name.find("."), name.find("[")) if place >= 0), default=len(name))
    return name[:end], name[end:]
