"""Intervals over examples: the bootstrap of a mean, and of a paired difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean over examples with its 95 % percentile-bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def of_mean(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of one value per example; with a single example the interval is as wide as nothing is known: [-inf,
    inf].
    """
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return Interval(float(data.mean()) if len(data) else float("nan"), float("-inf"), float("inf"), len(data))
    means = _resampled(len(data), seed) @ data / len(data)  # (resamples,)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(data.mean()), float(low), float(high), len(data))


def of_difference(after: Sequence[float], before: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of ``after - before``, paired example by example."""
    return of_mean([a - b for a, b in zip(after, before, strict=True)], seed=seed)


@lru_cache(maxsize=4)
def _resampled(n: int, seed: int) -> np.ndarray:
    """How often each example is drawn in each resample, (resamples, examples);
    the trials of a study have one number of examples.
    """
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)
