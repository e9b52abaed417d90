"""Intervals over examples: one type for all of this library, and the bootstrap behind it. Pure numpy, seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_RESAMPLES, _NORMAL, _TWO_SIDED = 2000, 2000, 1.959964


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


@lru_cache(maxsize=8)
def resampled(sizes: tuple[int, ...], resamples: int, seed: int) -> np.ndarray:
    """How often each example is drawn in each resample, (resamples, examples), within strata of these sizes; kept,
    since most intervals of a run have the same sizes.
    """
    rng = np.random.default_rng(seed)
    return np.hstack([rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in sizes]).astype(float)
