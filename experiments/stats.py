"""Intervals for scores: bootstrap over examples, paired differences, Clopper-Pearson, and pass@k. Pure numpy, seeded.

All seeds of one example are resampled together: they share the example's difficulty, so counting them as independent would make every
interval too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import beta as beta_distribution

RESAMPLES = 5000
Scores = Mapping[tuple[str, int], float]
"""One score per (example, seed)."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: the mean over all observations.
        low: lower end of the interval; NaN where one example cannot give one.
        high: upper end of the interval; NaN as ``low``.
        n: number of examples (not of observations).
    """

    mean: float
    low: float
    high: float
    n: int


def mean_interval(scores: Scores, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean of scores in [0, 1] with a percentile bootstrap interval over examples.

    Where every score is 0, or every one is 1, resampling would give an interval of no width; the exact binomial bound stands in.

    Args:
        scores: one score per (example, seed).
        confidence: coverage of the interval, in (0, 1).
        resamples: how often the examples are drawn anew.
        seed: of the resampling.

    Raises:
        ValueError: ``scores`` is empty.
    """
    sums, counts = _clusters(scores)
    n, mean = len(sums), float(sums.sum() / counts.sum())
    low, high = _bootstrap(sums, counts, confidence, resamples, seed)
    if n > 1 and mean in (0.0, 1.0):
        bound = ((1 - confidence) / 2) ** (1 / n)
        low, high = (bound, 1.0) if mean else (0.0, 1 - bound)
    return Estimate(mean, low, high, n)


def paired_difference(
    scores: Scores,
    reference: Scores,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The mean of ``scores - reference`` over the (example, seed) pairs that both have, with a bootstrap interval over examples.

    Raises:
        ValueError: they have no pair in common.
    """
    shared = {key: score - reference[key] for key, score in scores.items() if key in reference}
    sums, counts = _clusters(shared)
    return Estimate(float(sums.sum() / counts.sum()), *_bootstrap(sums, counts, confidence, resamples, seed), len(sums))


def clopper_pearson_upper(hits: float, trials: int, *, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound for a probability of which ``hits`` of ``trials`` were seen.

    ``hits`` need not be whole: a share averaged over the seeds of each example, times the number of examples, is a fair ``hits``.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, but got {trials=}")
    return 1.0 if hits >= trials else float(beta_distribution.ppf(confidence, hits + 1, trials - hits))


def pass_at(right: Sequence[Sequence[bool]]) -> tuple[float, ...]:
    """The chance that at least one of k candidates is right, for k = 1 .. n, averaged over all subsets of each pool.

    Args:
        right: one row per pool, whether each candidate is right; rows of one length n.
    """
    n = len(right[0])
    counts = [sum(row) for row in right]
    return tuple(float(np.mean([1 - math.comb(n - count, k) / math.comb(n, k) for count in counts])) for k in range(1, n + 1))


def _clusters(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the scores of each example, both (examples,), in an order that does not depend on when they were recorded."""
    if not scores:
        raise ValueError("there is nothing to average: no scores")
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for (example, _), score in sorted(scores.items()):
        sums[example] = sums.get(example, 0.0) + score
        counts[example] = counts.get(example, 0) + 1
    return np.array(list(sums.values())), np.array(list(counts.values()))


def _bootstrap(sums: np.ndarray, counts: np.ndarray, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    n = len(sums)
    if n < 2:
        return math.nan, math.nan
    times = _resampled(n, resamples, seed)
    means = (times @ sums) / (times @ counts)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@lru_cache(maxsize=1)
def _resampled(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each example is drawn in each resample, (resamples, examples); kept, since most estimates of a run have the same n."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float32)
