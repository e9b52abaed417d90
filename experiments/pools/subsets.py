"""What choosing gives on average over all subsets of a pool.

Exactly, where candidates have a fixed order, and else by seeded orders.

An order of the candidates stands for its beginnings: the first N of it are a random subset of N. Orders come in
rotations of one another, so that each candidate is first equally often, and the averages at N = 1 and at the whole pool
have no sampling error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def best_of_subsets(ranked: np.ndarray) -> np.ndarray:
    """The mean value of the first of N candidates, averaged over all subsets of N, for N = 1 .. C; exact.

    With C candidates in a fixed order of preference, the one of rank r (from 0) is the first of C(C-1-r, N-1) of the
    C(C, N) subsets.

    Args:
        ranked: (questions, C), the values in order of preference, the most preferred first.

    Returns:
        (questions, C): column N - 1 for subsets of N.
    """
    count = ranked.shape[1]
    weights = [
        [math.comb(count - 1 - rank, n - 1) / math.comb(count, n) for n in range(1, count + 1)] for rank in range(count)
    ]
    return ranked @ np.array(weights)


def rotated_orders(questions: int, candidates: int, *, subsets: int, seed: int) -> Iterator[np.ndarray]:
    """Random orders of the candidates, others for each question, in blocks of all rotations of one.

    Args:
        questions: how many questions.
        candidates: how many candidates each has.
        subsets: how many orders each question gets at least; it gets the next multiple of ``candidates``.
        seed: of the drawing.

    Yields:
        (questions, rotations, candidates), one block after another.
    """
    rng = np.random.default_rng(seed)
    turns = (np.arange(candidates)[:, None] + np.arange(candidates)) % candidates  # (rotations, candidates)
    for _ in range(max(1, math.ceil(subsets / candidates))):
        yield rng.permuted(np.tile(np.arange(candidates), (questions, 1)), axis=1)[:, turns]
