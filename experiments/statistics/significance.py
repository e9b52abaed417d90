"""Whether a difference is more than chance.

A sign-flip test over examples, and Holm's correction where many strategies are compared.

Both ask nothing of the scores' distribution; the seeds of one example flip together, as they are resampled together
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from .intervals import Scores, clusters, shared_differences

FLIPS = 10_000
ALPHA = 0.05
"""Adjusted p values below it count as a difference."""
_AT_ONCE = 8_000_000  # signs in memory
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
    blocks = [_all_signs(len(differing))] if exact else _drawn_signs(len(differing), flips, seed)
    nearly = (
        abs(differing.sum()) - 1e-5 * np.abs(differing).sum()
    )  # sums of the same numbers in single precision are not equal to the bit
    weights = differing.astype(np.float32)
    extreme = sum(int((np.abs(signs @ weights) >= nearly).sum()) for signs in blocks)
    return extreme / 2 ** len(differing) if exact else (extreme + 1) / (flips + 1)


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


def _drawn_signs(n: int, flips: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of signs, (flips, n) together, as many at a time as fit into little memory."""
    generator, most = np.random.default_rng(seed), max(1, _AT_ONCE // n)
    for begun in range(0, flips, most):
        signs = generator.integers(0, 2, (min(most, flips - begun), n), dtype=np.int8)
        yield signs.astype(np.float32) * 2 - 1
