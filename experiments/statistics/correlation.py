"""Spearman's rank correlation with a bootstrap interval over examples.

All seeds of one example are resampled together.
"""

from __future__ import annotations

import numpy as np

from dspy_fusion.optimizers.bootstrap import quantiles, resampled_sums

from .intervals import RESAMPLES, Interval, Scores, Strata, clusters


def rank_correlation(
    xs: Scores, ys: Scores, *, strata: Strata | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """The correlation of the ranks of ``xs`` and ``ys``, in [-1, 1], over the (example, seed) pairs that both have.

    Ranks are taken once, not anew in each resample. None where fewer than three examples are shared, or either does not
    vary.
    """
    keys = sorted(xs.keys() & ys.keys())
    if len({example for example, _ in keys}) < 3:
        return None
    x, y = (average_ranks(np.array([side[key] for key in keys])) for side in (xs, ys))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    columns = (x, y, x * x, y * y, x * y)
    tables = [clusters(dict(zip(keys, column, strict=True)), strata) for column in columns]
    moments = np.column_stack([*(cluster.sums for cluster in tables), tables[0].counts])  # (examples, 6)
    samples = _correlations(resampled_sums(moments, tables[0].sizes, resamples, seed).sum(axis=1))
    low, high = quantiles(samples[np.isfinite(samples)])
    return Interval(float(_correlations(moments.sum(axis=0, keepdims=True))[0]), low, high, len(moments))


def _correlations(moments: np.ndarray) -> np.ndarray:
    """One correlation a row of sums of x, y, xx, yy, xy and the number of observations.

    NaN where either does not vary.
    """
    x, y, xx, yy, xy = (moments[:, :5] / moments[:, 5:]).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs, as in ``scipy.stats.rankdata``, which is slow to import."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]
