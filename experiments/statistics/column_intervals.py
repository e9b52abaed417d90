"""Intervals for many means over the same questions at once: one set of resamples, one matrix product.

The rule is that of ``stats.mean_interval``: questions are drawn anew within their group; where all values are 0, or all
are 1, the exact binomial bound stands in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .intervals import Interval

_CHUNK = 100  # resamples at a time, which bounds the memory at a hundred numbers a question


def column_intervals(
    values: np.ndarray,
    groups: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    scores: bool = True,
) -> list[Interval]:
    """The mean of each column with a percentile bootstrap interval over the rows.

    Args:
        values: (questions, columns).
        groups: of each question; questions are drawn anew within their group, unless one of them has a single question.
        resamples: how often.
        confidence: coverage of the intervals, in (0, 1).
        seed: of the resampling.
        scores: whether the values are scores in [0, 1], to which the binomial bound applies, and not differences.

    Returns:
        One estimate per column; its ends are NaN where there is one question.
    """
    count = len(values)
    means = values.mean(axis=0)
    if count < 2:
        return [Interval(float(mean), math.nan, math.nan, count) for mean in means]
    ends = np.quantile(
        _resampled_means(values, groups, resamples, seed), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0
    )
    bound = ((1 - confidence) / 2) ** (1 / count)
    intervals = []
    for mean, low, high, constant in zip(means, *ends, np.ptp(values, axis=0) == 0, strict=True):
        if scores and constant and mean in (0.0, 1.0):
            low, high = (bound, 1.0) if mean else (0.0, 1 - bound)
        intervals.append(Interval(float(mean), float(low), float(high), count))
    return intervals


def _resampled_means(values: np.ndarray, groups: Sequence[str], resamples: int, seed: int) -> np.ndarray:
    """The columns' means in each resample, (resamples, columns)."""
    sizes = Counter(groups)
    strata = list(groups) if min(sizes.values()) > 1 else [""] * len(groups)
    order = np.argsort(strata, kind="stable")
    counts = Counter(strata)
    rng = np.random.default_rng(seed)
    ordered = values[order]
    means = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        times = np.hstack(
            [
                rng.multinomial(counts[name], np.full(counts[name], 1 / counts[name]), size=size)
                for name in sorted(counts)
            ]
        )
        means.append(times.astype(float) @ ordered / len(values))
    return np.concatenate(means)
