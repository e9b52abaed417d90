"""Whether a difference is more than chance: a sign-flip test over examples,
and Holm's correction where many strategies are compared.

Both ask nothing of the scores' distribution; the seeds of one example flip together, as they are resampled together
elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from .intervals import Scores, clusters, shared_differences

FLIPS = 10_000
ALPHA = 0.05
"""Adjusted p values below it count as a difference."""
_ENUMERATED = 13  # examples that differ, up to which all 2**13 signs are tried instead of a sample


def sign_flip_p(scores: Scores, reference: Scores, *, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p value of the mean of ``scores - reference`` by a paired permutation test over examples.

    Under the hypothesis that the two are interchangeable, the sign of each example's difference is a coin toss. With
    few examples that differ, all signs are tried; p is then at least 2 / 2**n, so that five examples can never show a
    difference.

    Args:
        scores: one score per (example, seed).
        reference: likewise; only pairs that both have count.
        flips: how many sets of signs are drawn where there are too many to try all.
        seed: of the drawing.

    Raises:
        ValueError: they have no pair in common.
    """
    sums = clusters(shared_differences(scores, reference)).sums
    differing = sums[np.abs(sums) > 1e-12]  # flipping a zero changes nothing
    if not len(differing):
        return 1.0
    exact = len(differing) <= _ENUMERATED
    signs = _all_signs(len(differing)) if exact else _drawn_signs(len(differing), flips, seed)
    nearly = (
        abs(differing.sum()) - 1e-5 * np.abs(differing).sum()
    )  # sums of the same numbers in single precision are not equal to the bit
    extreme = int((np.abs(signs @ differing.astype(np.float32)) >= nearly).sum())
    return extreme / len(signs) if exact else (extreme + 1) / (flips + 1)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p values adjusted so that the chance of even one false finding among them stays below the level (Holm 1979),
    same order.
    """
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def _all_signs(n: int) -> np.ndarray:
    return np.array(list(product((-1, 1), repeat=n)), dtype=np.float32)  # (2**n, n)


def _drawn_signs(n: int, flips: int, seed: int) -> np.ndarray:
    return (
        np.random.default_rng(seed).integers(0, 2, (flips, n), dtype=np.int8).astype(np.float32) * 2 - 1
    )  # (flips, n)
