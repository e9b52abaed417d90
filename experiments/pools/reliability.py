"""How reliable each source is, learned on other questions than those it is used on (cross-fitting).

No answer is judged by itself.
"""

from __future__ import annotations

import numpy as np

from .recorded_pool import RecordedPool

FOLDS = 5


def reliabilities(pool: RecordedPool, *, seed: int = 0, folds: int = FOLDS) -> np.ndarray:
    """The mean quality of each source on the questions outside the question's own fold,
    drawn towards one half (Laplace's rule).

    Args:
        pool: a graded pool of at least two questions.
        seed: by which the questions are dealt into folds.
        folds: how many, at least 2; fewer where there are fewer questions.

    Returns:
        (questions, candidates), in (0, 1).
    """
    count = pool.shape[0]
    fold = np.random.default_rng(seed).permutation(count) % min(folds, count)
    shares = np.empty(pool.shape)
    for number in range(int(fold.max()) + 1):
        others = fold != number
        quality, present = pool.quality[others], pool.present[others]
        shares[~others] = (quality.sum(axis=0) + 1) / (present.sum(axis=0) + 2)
    return shares


def vote_weights(pool: RecordedPool, reliability: np.ndarray) -> np.ndarray:
    """How much each vote weighs if sources err independently and wrong answers are spread evenly.

    Log(p (k - 1) / (1 - p)), at least 0.

    k is the mean number of different answers to a question of the pool, at least 2; with k = 2 these are the weights of
    Nitzan and Paroush.

    Args:
        pool: the pool.
        reliability: (questions, candidates), in (0, 1).
    """
    different = np.array([len(np.unique(row[row >= 0])) for row in pool.answers])
    k = max(2.0, float(different.mean()))
    return np.maximum(0.0, np.log(reliability * (k - 1) / (1 - reliability)))


def family_weights(pool: RecordedPool) -> np.ndarray:
    """One vote for each family, shared among its sources."""
    sizes = [pool.families.count(family) for family in pool.families]
    return np.broadcast_to(1 / np.array(sizes), pool.shape)
