"""What a program scored, example by example, in a few arrays: what is kept of every trial while a study runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .study_store import Outcome


@dataclass(frozen=True)
class Scored:
    """Outcomes without their texts; the texts stay in the study's store.

    Attributes:
        values: per name (``quality``, ``cost`` and further measures) one number an example; NaN where it is missing.
        fell_back: per example, whether a fusor failed in it.
    """

    values: Mapping[str, np.ndarray]
    fell_back: np.ndarray

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Scored:
        """Of outcomes, in their order."""
        names = dict.fromkeys(["quality", "cost", *(name for outcome in outcomes for name in outcome.values)])
        values = {name: np.array([outcome.value(name) for outcome in outcomes], dtype=float) for name in names}
        return cls(values, np.array([outcome.fell_back for outcome in outcomes], dtype=bool))

    def __getitem__(self, name: str) -> np.ndarray:
        """The numbers of a measure."""
        return self.values.get(name, np.full(len(self), math.nan))

    def __len__(self) -> int:
        return len(self.fell_back)

    def first(self, count: int | None) -> Scored:
        """Of the first examples; all for None."""
        return Scored({name: values[:count] for name, values in self.values.items()}, self.fell_back[:count])

    @cached_property
    def means(self) -> dict[str, float]:
        """The mean of each measure over the examples that have it; zeros where there are none."""
        means = {name: mean_of(values) for name, values in self.values.items()}
        return means if len(self) else dict.fromkeys(means, 0.0)


def means_of(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Mean quality, cost and further measures of outcomes."""
    return Scored.of(outcomes).means


def mean_of(values: Sequence[float] | np.ndarray) -> float:
    """The mean of those that are no NaN; NaN where all are."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else math.nan
