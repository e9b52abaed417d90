"""What a graded pool lets one expect of choosing and of fusing, against one answer of its best model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..pools.evaluation import Way, differences
from ..pools.recorded_pool import RecordedPool
from ..statistics.column_intervals import column_intervals
from ..statistics.intervals import Interval

SHOWN = 4
"""Candidates that the fusors of the next two constants saw."""
NONE_RIGHT, ALL_RIGHT = (0.0, 0.09), (0.99, 1.0)
"""How often fusors were right where none, and where all, of four candidates were (arXiv 2604.07725)."""
HELPED, HURT = 0.290, 0.123
"""What seeing candidates gained over solving afresh where two or more were right,
and lost where none was (arXiv 2608.18379).
"""


@dataclass(frozen=True)
class Prospects:
    """Gains are against one candidate of the best model, paired by question."""

    best_source: str
    """The model with the best mean, found on the same questions."""
    best: Interval
    """Its mean."""
    single: Interval
    """The mean of all candidates."""
    gains: dict[str, Interval]
    """Of each way with all candidates; that of the oracle is the most that any choice can gain."""
    right: tuple[float, float, float, float]
    """Shares of the questions with no, one, several and only right candidates."""
    fusion: tuple[float, float] | None
    """Between what scores a fusor of four candidates would end that behaves as published ones;
    None where answers are right by degrees.
    """
    against_fresh: float | None
    """What it would gain over solving afresh if the published differences held; None as above."""


def prospects_of(pool: RecordedPool, ways: Sequence[Way], *, resamples: int) -> Prospects:
    """Measures a graded pool.

    Args:
        pool: the pool.
        ways: of :func:`evaluate` on it.
        resamples: of the intervals.
    """
    means = {source: _mean_of(pool, source) for source in dict.fromkeys(pool.sources)}
    best = max(means, key=lambda source: float(means[source].mean()))
    groups = list(pool.groups.values())
    first, single = column_intervals(
        np.column_stack([means[best], pool.quality.mean(axis=1)]), groups, resamples=resamples
    )
    right, size = [int(count) for count in pool.right.sum(axis=1)], pool.shape[1]
    gains = differences(pool, ways, means[best], resamples=resamples)
    shares = strata(right, size, size)
    if not pool.is_binary or size < 2:
        return Prospects(best, first, single, gains, shares, None, None)
    none, one, several, every = strata(right, size, min(SHOWN, size))
    fusion = (NONE_RIGHT[0] * none + ALL_RIGHT[0] * every, NONE_RIGHT[1] * none + one + several + ALL_RIGHT[1] * every)
    return Prospects(best, first, single, gains, shares, fusion, HELPED * (several + every) - HURT * none)


def strata(right: Sequence[int], size: int, shown: int) -> tuple[float, float, float, float]:
    """How often no, one, several and only right candidates are among ``shown`` random ones of each question,
    averaged over questions.

    Args:
        right: how many candidates of each question are right.
        size: how many candidates there are.
        shown: how many are drawn from them, at most ``size``.
    """
    ways = math.comb(size, shown)
    none = float(np.mean([math.comb(size - count, shown) / ways for count in right]))
    one = float(np.mean([count * math.comb(size - count, shown - 1) / ways for count in right]))
    every = float(np.mean([math.comb(count, shown) / ways for count in right])) if shown > 1 else 0.0
    return none, one, max(0.0, 1 - none - one - every), every


def _mean_of(pool: RecordedPool, source: str) -> np.ndarray:
    """The mean quality of a model's candidates, (questions,)."""
    return pool.quality[:, [place for place, name in enumerate(pool.sources) if name == source]].mean(axis=1)
