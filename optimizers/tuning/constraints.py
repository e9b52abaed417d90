"""Constraints on what a study may return, such as ``quality >= 0.8 and cost <= 500``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dspy_fusion.programs import ConfigurationError

_FORM = re.compile(r"\s*([^\W\d]\w*)\s*(>=|<=)\s*(\S+)\s*")
_AND = re.compile(r"\s+and\s+")
Means = Mapping[str, float]
"""A program's means over examples: ``quality``, ``cost``, and every other measure by its name."""


@dataclass(frozen=True)
class Constraint:
    """A limit on a program's mean quality, cost or other measure over the trials' examples.

    Attributes:
        name: ``quality``, ``cost``, or the name of a measure.
        at_least: whether the limit is the least that is allowed, or the most.
        limit: the limit, itself allowed.
    """

    name: str
    at_least: bool
    limit: float

    @classmethod
    def read(cls, text: object) -> Constraint:
        """From a text such as ``"quality >= 0.8"``; raises ``ConfigurationError`` for another form."""
        form = _FORM.fullmatch(text) if isinstance(text, str) else None
        try:
            limit = float(form[3]) if form else math.nan
        except ValueError:
            limit = math.nan
        if form is None or not math.isfinite(limit):
            raise ConfigurationError(
                f'a constraint must be of the form "quality >= 0.8" or "cost <= 500", but got {repr(text)[:80]}'
            )
        return cls(form[1], form[2] == ">=", limit)

    def missed(self, means: Means) -> float:
        """By how much a program misses it; 0 or less where it is met, infinite where nothing was measured."""
        value = means.get(self.name, math.nan)
        if math.isnan(value):
            return math.inf
        return self.limit - value if self.at_least else value - self.limit

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.at_least else '<='} {self.limit:g}"


def read_constraints(texts: object) -> tuple[Constraint, ...]:
    """From one text, or several; each may join several limits by ``and``.

    Raises:
        ConfigurationError: one is of another form.
    """
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, Sequence):
        raise ConfigurationError(f'constraints must be a list such as ["quality >= 0.8"], but got {repr(texts)[:80]}')
    return tuple(Constraint.read(part) for text in texts for part in _parts(text))


def _parts(text: object) -> Iterator[object]:
    yield from _AND.split(text) if isinstance(text, str) else [text]


def meets(constraints: Iterable[Constraint], means: Means) -> bool:
    """Whether a program meets every constraint."""
    return all(constraint.missed(means) <= 0 for constraint in constraints)


def misses(constraints: Iterable[Constraint], programs: Sequence[tuple[str, Means]]) -> str:
    """By how much nothing tried met each constraint, in words: the nearest of the named programs to each."""
    parts = []
    for constraint in constraints:
        by = {name: constraint.missed(means) for name, means in programs}
        nearest = min(by, key=lambda name: by[name])
        if math.isinf(by[nearest]):
            parts.append(f"{constraint} was measured nowhere")
        elif by[nearest] <= 0:
            parts.append(f"{constraint} is met by {nearest}")
        else:
            parts.append(f"{constraint} missed by {by[nearest]:.4g} ({nearest})")
    return "; ".join(parts)
