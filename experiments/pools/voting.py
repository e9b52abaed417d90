"""Votes over every beginning of every order at once.

One vote is added at a time, so that all N together cost as much as one full vote.

As in ``programs.Vote``, the heaviest group of equal answers wins, ties go to the group whose first member was drawn
earliest, and that member is returned. Weights are whole numbers, since sums of fractions would depend on the order in
which they are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .ceiling import check_ceiling
from .recorded_pool import RecordedPool
from .subsets import rotated_orders

_UNITS = 1_000_000  # of a weight of 1
_CHUNK = 2000  # questions at a time, which bounds the memory


@dataclass(frozen=True)
class Ballots:
    """Votes with the first N of each order, N = 1 .. C: arrays of (questions, orders, C)."""

    quality: np.ndarray
    """Of the answer that won; 0 where nobody voted."""
    majority: np.ndarray
    """Whether it had more than half of the weight of all, those included that gave no answer."""
    orders: np.ndarray
    """The places of the candidates in each order."""


def vote_curve(pool: RecordedPool, weights: np.ndarray | None = None, *, subsets: int, seed: int) -> np.ndarray:
    """The mean quality of what a vote of N candidates returns, averaged over subsets.

    Args:
        pool: a graded pool.
        weights: (questions, candidates), at least 0; None counts every vote as one.
        subsets: how many orders each question gets at least.
        seed: of the orders.

    Returns:
        (questions, C): column N - 1 for N votes.

    Raises:
        CeilingBroken: see :func:`check_ceiling`.
    """
    curves = []
    for start in range(0, pool.shape[0], _CHUNK):
        part = pool.rows(np.arange(start, min(start + _CHUNK, pool.shape[0])))
        own = None if weights is None else weights[start : start + _CHUNK]
        blocks = [
            ballots.quality.mean(axis=1) for ballots in all_ballots(part, own, subsets=subsets, seed=seed + start)
        ]
        curves.append(np.mean(blocks, axis=0))
    return np.concatenate(curves)


def all_ballots(pool: RecordedPool, weights: np.ndarray | None, *, subsets: int, seed: int) -> Iterator[Ballots]:
    """The votes of one block of orders after another; see :func:`vote_curve` for the arguments."""
    units = np.full(pool.shape, _UNITS) if weights is None else np.rint(weights * _UNITS).astype(np.int64)
    for orders in rotated_orders(*pool.shape, subsets=subsets, seed=seed):
        yield _count(pool, units, orders)


def _count(pool: RecordedPool, units: np.ndarray, orders: np.ndarray) -> Ballots:
    questions, turns, size = orders.shape
    nobody = size  # the answer of those who do not vote, which wins only where nobody does
    q, t = np.arange(questions)[:, None], np.arange(turns)[None, :]
    weight = np.zeros((questions, turns, size + 1), dtype=np.int64)
    first = np.full((questions, turns, size + 1), size, dtype=np.int16)  # when each answer was first given
    leader = np.full((questions, turns), nobody)
    votes, best = np.zeros((questions, turns), dtype=np.int64), np.zeros((questions, turns))
    quality, majority = np.empty(orders.shape), np.empty(orders.shape, dtype=bool)
    worth = np.concatenate([pool.quality, np.zeros((questions, 1))], axis=1)  # that of nobody is 0
    places = np.concatenate([orders, np.full((questions, turns, 1), size)], axis=2)
    for n in range(size):
        column = orders[:, :, n]
        answer = np.where(pool.answers >= 0, pool.answers, nobody)[q, column]
        weight[q, t, answer] += np.where(answer == nobody, 0, units[q, column])
        votes += units[q, column]
        first[q, t, answer] = np.where(answer == nobody, size, np.minimum(first[q, t, answer], n))
        ahead = weight[q, t, answer] - weight[q, t, leader]
        earlier = first[q, t, answer] < first[q, t, leader]
        leader = np.where((ahead > 0) | ((ahead == 0) & earlier), answer, leader)
        quality[:, :, n] = worth[q, places[q, t, first[q, t, leader]]]
        majority[:, :, n] = 2 * weight[q, t, leader] > votes
        best = np.maximum(best, pool.quality[q, column])
        check_ceiling("vote", quality[:, :, n], best)
    return Ballots(quality, majority, orders)
