"""Constraints on what a study may return, such as ``quality >= 0.8`` and ``cost <= 500``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dspy_fusion.programs import ConfigurationError

_FORM = re.compile(r"\s*(quality|cost)\s*(>=|<=)\s*(\S+)\s*")


@dataclass(frozen=True)
class Constraint:
    """A limit on a program's mean quality or cost over the trials' examples.

    Attributes:
        name: ``quality`` or ``cost``.
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

    def missed(self, quality: float, cost: float) -> float:
        """By how much a program misses it; 0 or less where it is met."""
        value = quality if self.name == "quality" else cost
        return self.limit - value if self.at_least else value - self.limit

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.at_least else '<='} {self.limit:g}"


def read_constraints(texts: object) -> tuple[Constraint, ...]:
    """From texts; raises ``ConfigurationError`` where one is of another form."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise ConfigurationError(f'constraints must be a list such as ["quality >= 0.8"], but got {repr(texts)[:80]}')
    return tuple(Constraint.read(text) for text in texts)


def meets(constraints: Iterable[Constraint], quality: float, cost: float) -> bool:
    """Whether a program meets every constraint."""
    return all(constraint.missed(quality, cost) <= 0 for constraint in constraints)


def misses(constraints: Iterable[Constraint], programs: Sequence[tuple[str, float, float]]) -> str:
    """By how much nothing tried met each constraint, in words: of (name, quality, cost), the nearest one to each."""
    parts = []
    for constraint in constraints:
        by = {name: constraint.missed(quality, cost) for name, quality, cost in programs}
        nearest = min(by, key=lambda name: by[name])
        said = "met" if by[nearest] <= 0 else f"missed by {by[nearest]:.4g}"
        parts.append(f"{constraint} is {said} by {nearest}" if said == "met" else f"{constraint} {said} ({nearest})")
    return "; ".join(parts)
