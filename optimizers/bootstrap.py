"""Intervals over examples: one type for all of this library, and the bootstrap behind it. Pure numpy, seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

_RESAMPLES, _NORMAL, _TWO_SIDED = 2000, 2000, 1.959964
_KEPT = 8_000_000  # numbers of a resampling that are kept
_AT_ONCE = 1_000_000  # numbers that are worked on at once


@dataclass(frozen=True)
class Interval:
    """A mean over examples with its interval.

    Attributes:
        mean: the mean over all observations.
        low: lower end of the interval; not finite where one example cannot give one.
        high: upper end of the interval; as ``low``.
        n: number of examples (not of observations).
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def of_mean(values: Sequence[float] | np.ndarray, *, seed: int = 0) -> Interval:
    """The mean of one value per example with its 95 % percentile bootstrap interval.

    With a single example the interval is as wide as nothing is known: [-inf, inf]. Of more than 2,000 it is the normal
    one, from which the bootstrap's then differs by less than it differs from itself under another seed.
    """
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return Interval(float(data.mean()) if len(data) else float("nan"), float("-inf"), float("inf"), len(data))
    if len(data) > _NORMAL:
        reach = _TWO_SIDED * float(data.std(ddof=1)) / math.sqrt(len(data))
        return Interval(float(data.mean()), float(data.mean()) - reach, float(data.mean()) + reach, len(data))
    means = resampled((len(data),), _RESAMPLES, seed) @ data / len(data)  # (resamples,)
    return Interval(float(data.mean()), *quantiles(means), len(data))


def of_difference(
    after: Sequence[float] | np.ndarray, before: Sequence[float] | np.ndarray, *, seed: int = 0
) -> Interval:
    """The mean of ``after - before``, paired example by example."""
    return of_mean([a - b for a, b in zip(after, before, strict=True)], seed=seed)


def quantiles(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of the percentile interval."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def resampled_sums(columns: np.ndarray, sizes: Sequence[int], resamples: int, seed: int) -> np.ndarray:
    """The sums of each column over resampled examples, (resamples, strata, columns), within strata of these sizes.

    How often each example is drawn is kept for the next call where that takes little memory; of many examples they are
    drawn anew, a part at a time, so that memory does not grow with them.

    Args:
        columns: (examples, columns), one stratum after another.
        sizes: the number of examples in each stratum.
        resamples: how often examples are drawn anew.
        seed: of the drawing; every column of every call with it is summed over the same draws.
    """
    if resamples * len(columns) > _KEPT:
        return _drawn_sums(columns, sizes, resamples, seed)
    times, most = _counts(tuple(sizes), resamples, seed), max(1, _AT_ONCE // len(columns))
    parts = [
        np.stack([rows[:, part] @ columns[part] for part in _slices(sizes)], axis=1)
        for rows in (times[begin : begin + most].astype(float) for begin in range(0, resamples, most))
    ]
    return np.concatenate(parts)


def resampled(sizes: tuple[int, ...], resamples: int, seed: int) -> np.ndarray:
    """How often each example is drawn in each resample, (resamples, examples), within strata of these sizes."""
    return _counts(sizes, resamples, seed).astype(float)


@lru_cache(maxsize=4)
def _counts(sizes: tuple[int, ...], resamples: int, seed: int) -> np.ndarray:
    """The same in small numbers, made in parts; kept, since most intervals of a run have the same sizes."""
    rng, counts = np.random.default_rng(seed), np.empty((resamples, sum(sizes)), dtype=np.uint16)
    for n, part in zip(sizes, _slices(sizes), strict=True):
        most = max(1, _AT_ONCE // n)
        for begin in range(0, resamples, most):
            rows = counts[begin : begin + most, part]
            rows[:] = rng.multinomial(n, np.full(n, 1 / n), size=len(rows))
    return counts


def _drawn_sums(columns: np.ndarray, sizes: Sequence[int], resamples: int, seed: int) -> np.ndarray:
    """The sums over examples that are drawn one by one, which of many is faster than to count each."""
    rng, sums = np.random.default_rng(seed), np.empty((resamples, len(sizes), columns.shape[1]))
    varying = [column for column in range(columns.shape[1]) if np.ptp(columns[:, column])]
    for place, (n, part) in enumerate(zip(sizes, _slices(sizes), strict=True)):
        most = max(1, _AT_ONCE // n)
        sums[:, place] = n * columns[part.start]
        for begin in range(0, resamples, most):
            rows = sums[begin : begin + most, place]
            draws = rng.integers(0, n, size=(len(rows), n), dtype=np.uint32)
            for column in varying:
                rows[:, column] = columns[part, column].take(draws).sum(axis=1)
    return sums


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Where each stratum lies."""
    ends = np.cumsum((0, *sizes)).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]
