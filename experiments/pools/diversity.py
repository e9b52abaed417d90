"""How different the candidates of a pool are: different answers, Vendi score, and mean similarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .recorded_pool import RecordedPool


@dataclass(frozen=True)
class Diversity:
    """Means over questions. A number is NaN where what it needs was not recorded."""

    answers: float
    """Different answers per question."""
    answer_vendi: float
    """Effective number of different answers: the Vendi score with answers that are either equal or not."""
    agreement: float
    """Chance that two candidates give the same answer, in [0, 1]."""
    text_vendi: float
    """Effective number of different texts: the Vendi score of their similarities,
    from 1 to the number of candidates.
    """
    text_similarity: float
    """Mean similarity of two texts, in [0, 1]."""


def diversity(pool: RecordedPool, alike: np.ndarray | None) -> Diversity:
    """Measures a pool; candidates that failed do not count.

    Args:
        pool: the pool.
        alike: the texts' similarities, (questions, candidates, candidates); None where there are no texts.
    """
    nothing = float("nan")
    answers, vendi, agreement = nothing, nothing, nothing
    if pool.is_comparable:
        voting = pool.answers >= 0
        equal = (pool.answers[:, :, None] == pool.answers[:, None, :]) & voting[:, :, None] & voting[:, None, :]
        answers = float(np.mean([len(np.unique(row[row >= 0])) for row in pool.answers]))
        vendi = float(np.mean(vendi_scores(equal.astype(float), voting)))
        agreement = _mean_pair(equal.astype(float), voting)
    if alike is None:
        return Diversity(answers, vendi, agreement, nothing, nothing)
    return Diversity(
        answers, vendi, agreement, float(np.mean(vendi_scores(alike, pool.present))), _mean_pair(alike, pool.present)
    )


def vendi_scores(alike: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """The Vendi score of each question (arXiv 2210.02410).

    The exponential of the entropy of the eigenvalues of the similarities over n.

    It is 1 where all are the same and n where all n are entirely different.

    Args:
        alike: (questions, candidates, candidates), symmetric, 1 on the diagonal.
        counted: (questions, candidates): which candidates count; a question without any has the score 0.

    Returns:
        (questions,)
    """
    both = counted[:, :, None] & counted[:, None, :]
    n = counted.sum(axis=1)
    matrices = np.where(both, alike, 0.0) / np.maximum(n, 1)[:, None, None]
    values = np.clip(np.linalg.eigvalsh(matrices), 0, None)
    entropy = -np.sum(values * np.log(np.where(values > 0, values, 1)), axis=1)
    return np.where(n > 0, np.exp(entropy), 0.0)


def _mean_pair(alike: np.ndarray, counted: np.ndarray) -> float:
    """The mean over questions of the mean over pairs of counted candidates; NaN where no question has a pair."""
    both = counted[:, :, None] & counted[:, None, :] & ~np.eye(counted.shape[1], dtype=bool)
    pairs = both.sum(axis=(1, 2))
    sums = np.where(both, alike, 0.0).sum(axis=(1, 2))
    return float(np.mean(sums[pairs > 0] / pairs[pairs > 0])) if (pairs > 0).any() else float("nan")
