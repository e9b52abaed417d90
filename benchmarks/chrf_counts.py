"""chrF from n-gram counts that can be added up, so that a thousand resamples of a corpus cost a matrix product each.

The definition is sacrebleu's default, chrF2 without words and without white space (character n-grams up to 6, beta 2;
Popovic 2015); the benchmark that uses this checks every corpus score against sacrebleu's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

ORDERS = range(1, 7)
_BETA_SQUARED = 4


def chrf_counts(translations: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """For each segment and order the n-grams of the translation, of the reference, and those that match, (segments, 3,
    orders).

    As in sacrebleu, n-grams of a translation whose reference is too short to have any of that order do not count.
    """
    rows = []
    for translation, reference in zip(translations, references, strict=True):
        ours, theirs = "".join(translation.split()), "".join(reference.split())
        rows.append([_counts(ours, theirs, order) for order in ORDERS])
    return np.array(rows, dtype=float).transpose(0, 2, 1)


def chrf_of(counts: np.ndarray) -> np.ndarray:
    """The chrF, in [0, 1], of counts (..., 3, orders); those of several segments added up give the corpus score.

    Orders of which the translation or the reference has no n-gram are left out of the means.
    """
    ours, theirs, matches = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    used = (ours > 0) & (theirs > 0)
    orders = np.maximum(used.sum(axis=-1), 1)
    precision = (matches / np.maximum(ours, 1) * used).sum(axis=-1) / orders
    recall = (matches / np.maximum(theirs, 1) * used).sum(axis=-1) / orders
    below = _BETA_SQUARED * precision + recall
    return np.divide((1 + _BETA_SQUARED) * precision * recall, below, out=np.zeros_like(below), where=below > 0)


def _counts(ours: str, theirs: str, order: int) -> tuple[int, int, int]:
    left = Counter(ours[i : i + order] for i in range(len(ours) - order + 1))
    right = Counter(theirs[i : i + order] for i in range(len(theirs) - order + 1))
    matches = sum(min(count, right[gram]) for gram, count in left.items() if gram in right)
    total = sum(right.values())
    return sum(left.values()) if total else 0, total, matches
