"""What each source adds to the others.

Questions that it alone gets right, what the pool loses without it, and whether it errs with them.

The correlation of errors says how much voting can average out; it does not determine beta, which needs all of them
wrong at once (arXiv 2606.27288).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..statistics.column_intervals import column_intervals
from ..statistics.intervals import Interval
from .recorded_pool import RecordedPool


@dataclass(frozen=True)
class SourceFacts:
    """One source of a graded pool."""

    column: str
    family: str
    answered: int
    """Questions that it has an answer to; the others count as 0."""
    score: Interval
    """Its mean quality over all questions of the pool."""
    alone: int
    """Questions that it alone gets right in full."""
    oracle_loss: float
    """By how much the oracle's mean falls without it."""
    error_correlation: float
    """Mean correlation of its quality with the others'; NaN where it never varies."""


def source_facts(pool: RecordedPool, *, resamples: int) -> tuple[SourceFacts, ...]:
    """Measures each source of a graded pool, in the order of the columns.

    Args:
        pool: the pool.
        resamples: of the intervals.
    """
    correlation = error_correlation(pool)
    alone = pool.right & (pool.right.sum(axis=1, keepdims=True) == 1)
    losses = _oracle_losses(pool.quality)
    scores = column_intervals(pool.quality, list(pool.groups.values()), resamples=resamples)
    facts = []
    for place, column in enumerate(pool.columns):
        others = np.delete(correlation[place], place)
        facts.append(
            SourceFacts(
                column=column,
                family=pool.families[place],
                answered=int(pool.present[:, place].sum()),
                score=scores[place],
                alone=int(alone[:, place].sum()),
                oracle_loss=float(losses[place]),
                error_correlation=float(np.nanmean(others)) if np.isfinite(others).any() else float("nan"),
            )
        )
    return tuple(facts)


def error_correlation(pool: RecordedPool) -> np.ndarray:
    """The correlation of every two sources' quality over the questions, (candidates, candidates).

    NaN for one that never varies.
    """
    centred = pool.quality - pool.quality.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread[:, None] * spread > 0, centred.T @ centred / (spread[:, None] * spread), np.nan)


def _oracle_losses(quality: np.ndarray) -> np.ndarray:
    """The mean of the best minus the mean of the best without each column, (candidates,)."""
    if quality.shape[1] == 1:
        return quality.mean(axis=0)
    ordered = np.sort(quality, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    return np.where(quality == best, best - second, 0.0).mean(axis=0)
