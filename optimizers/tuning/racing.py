"""Racing: a trial is dropped when a paired test says that, scored on all examples,
it will hardly be ahead of an incumbent.

After F-Race (Birattari et al. 2002), with three differences. What whole trials scored on the examples to come is known,
so the difference there is predicted by regression on those scores (the regression estimator of survey sampling, Cochran
1977, chapter 7), and only what is left to see is uncertain. The test looks at a few lengths, and its level is set by
simulation so that its error holds over all of them together. It is one t-test a rival instead of Friedman's test over
all trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy.special import stdtr, stdtrit  # a tenth of the time to import that scipy.stats takes

from .scores.scored import Scored, mean_of, means_of
from .scores.study_store import Outcome

FIRST_LOOK, GROWTH = 6, 1.3
_EQUAL_COST = 0.02  # up to this share more than a trial's mean cost, a rival counts as no dearer
_DRAWN = 2_000_000  # numbers drawn to find the level of a test
_LEAST, _NOTHING = 6, 1e-9


def looks(examples: int) -> list[int]:
    """After how many examples a race looks: 6, and then each time 30 % more, and at the end."""
    lengths, length = [], FIRST_LOOK
    while length < examples:
        lengths.append(length)
        length = math.ceil(length * GROWTH)
    return [*lengths, examples]


class Race:
    """A race of a trial against those that were scored on all examples.

    Args:
        rivals: whole trials, each on the same examples in the same order; at least one.
        error: chance, over all looks together, that a given rival has a trial dropped that would have been ahead of it
            by just what is wanted; in [0, 1), 0 to drop none.
        tolerance: by how much a trial has to be better than a rival that costs no more, and may be worse than one that
            costs more.
        leader: the place of the rival that counts as the best where cost does not; by default the one with the highest
            mean, which is often the luckiest.
        luck: by how much the leader's mean is thought to be above what it is worth; a trial may be worse by that.
        second: what is called cost here: ``cost``, or a further measure of which less is better.
        by_cost: whether cost counts. Without a tolerance, rivals that cost more are then no hindrance: every trade-off
            is of interest.
    """

    def __init__(
        self,
        rivals: Sequence[Scored | Sequence[Outcome]],
        *,
        error: float,
        tolerance: float = 0.0,
        by_cost: bool = False,
        second: str = "cost",
        leader: int | None = None,
        luck: float = 0.0,
    ) -> None:
        self.luck = max(0.0, luck)
        self.error, self.tolerance, self.by_cost, self.second = error, tolerance, by_cost, second
        rows = [rival if isinstance(rival, Scored) else Scored.of(rival) for rival in rivals]
        self._scores = np.array([row["quality"] for row in rows])  # (rivals, examples)
        self._common = self._scores.mean(axis=0)
        self._leader = int(self._scores.mean(axis=1).argmax()) if leader is None else leader
        self._costs = np.array([row[second] for row in rows])

    def shortfall(self, outcomes: Sequence[Outcome]) -> float | None:
        """By how much a trial with these outcomes on the first examples will miss what a rival demands.

        None while it may still win.

        Where several rivals are out of reach, it is the largest of their shortfalls.
        """
        trial = np.array([outcome.score for outcome in outcomes])
        demands = self._demands(len(outcomes), means_of(outcomes).get(self.second, math.nan))
        missed = (
            shortfall(trial, rival, common=self._common, error=self.error, margin=margin) for rival, margin in demands
        )
        return max((miss for miss in missed if miss is not None), default=None)

    def _demands(self, n: int, cost: float) -> Iterator[tuple[np.ndarray, float]]:
        """Whom a trial of this cost on the first n examples has to beat, and by how much.

        Where cost does not count, the best alone.
        """
        if not self.by_cost:
            yield self._scores[self._leader], self.tolerance - self.luck
            return
        dearer = np.array([mean_of(row) for row in self._costs[:, :n]]) > cost + _EQUAL_COST * abs(cost)
        for rival, is_dearer in zip(self._scores, dearer, strict=True):
            if self.tolerance or not is_dearer:
                yield rival, -self.tolerance if is_dearer else self.tolerance


def shortfall(
    trial: np.ndarray,
    incumbent: np.ndarray,
    *,
    common: np.ndarray | None = None,
    error: float = 0.1,
    margin: float = 0.0,
) -> float | None:
    """By how much a trial's mean over all examples is expected to miss the incumbent's plus ``margin``,
    where it hardly can exceed it.

    Args:
        trial: its scores so far, one per example.
        incumbent: the incumbent's scores on all examples, the same ones first.
        common: what whole trials score on each example on average, or None.
        error: see :class:`Race`.
        margin: by how much it is to be better; below 0, by how much it may be worse.

    Returns:
        A positive number, or None while the upper limit of the predicted mean difference is not below the margin.
    """
    n, total = len(trial), len(incumbent)
    if n < _LEAST or n >= total or not error:
        return None
    level = _level(error, total)
    expected, spread, freedom = _predicted(trial - incumbent[:n], _covariates(incumbent, common, n))
    if expected >= margin:
        return None
    if spread < _NOTHING:  # where they differed nowhere so far, they may still differ on a few of the others
        reach = (1 - level ** (1 / n)) * (1 - n / total) * float(incumbent.std())
    else:
        reach = _quantile(level, freedom) * spread
    return margin - expected if expected + reach < margin else None


def _covariates(incumbent: np.ndarray, common: np.ndarray | None, n: int) -> np.ndarray:
    """What is known of every example, (examples, covariates); only what varies among the first n."""
    columns = [np.ones(len(incumbent)), incumbent]
    if common is not None and np.abs(common - incumbent).max() > _NOTHING:
        columns.append(common)
    return np.array([column for place, column in enumerate(columns) if not place or np.ptp(column[:n]) > _NOTHING]).T


def _predicted(differences: np.ndarray, covariates: np.ndarray) -> tuple[float, float, int]:
    """The mean difference over all examples that the first ones let expect, its standard error,
    and the degrees of freedom of that.
    """
    n, (total, width) = len(differences), covariates.shape
    seen, left = covariates[:n], covariates[n:].mean(axis=0)
    squares = np.linalg.pinv(seen.T @ seen)
    weights = squares @ seen.T @ differences
    residuals = differences - seen @ weights
    share, freedom = (total - n) / total, n - width
    variance = float(residuals @ residuals) / freedom * (1 / (total - n) + float(left @ squares @ left))
    expected = float(differences.sum()) / total + share * float(left @ weights)
    return expected, share * math.sqrt(max(0.0, variance)), freedom


@lru_cache(maxsize=256)
def _quantile(level: float, freedom: int) -> float:
    return float(stdtrit(freedom, 1 - level))


@lru_cache(maxsize=16)
def _level(error: float, total: int) -> float:
    """The level of each look at which trials that end level with the incumbent are dropped with a chance of ``error``
    over all looks.
    """
    rng, draws = np.random.default_rng(0), max(500, _DRAWN // total)
    differences = rng.standard_normal((draws, total))
    differences -= differences.mean(axis=1, keepdims=True)  # in the end the difference is nil
    lowest = np.ones(draws)
    for n in looks(total)[:-1]:
        seen = differences[:, :n]
        spread = seen.std(axis=1, ddof=1) * math.sqrt(1 / n - 1 / total)
        lowest = np.minimum(lowest, stdtr(n - 2, seen.mean(axis=1) / spread))
    return float(np.quantile(lowest, error))
