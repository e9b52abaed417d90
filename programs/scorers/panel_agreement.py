"""What a panel of judges is worth.

How often its judges contradict each other, and how many independent votes they amount to.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..pools.candidates import Candidate


@dataclass(frozen=True)
class PanelAgreement:
    """How a panel's judges agree over many pools.

    Attributes:
        judges: how many there are.
        contradictions: of the pairs of candidates of one pool that two judges both tell apart, the share in which they
            disagree about which is better, in [0, 1]; None where there is no such pair.
        correlation: the mean correlation of two judges' scores; None where no two judges have scores that vary.
        effective_votes: how many independent judges the panel amounts to, from 1 to ``judges``; None without a
            correlation.
    """

    judges: int
    contradictions: float | None
    correlation: float | None
    effective_votes: float | None


def panel_agreement(pools: Iterable[Sequence[Candidate]]) -> PanelAgreement:
    """Sums up what a panel's judges gave to the candidates of many pools,
    such as ``[prediction.pool.candidates for ...]``.
    """
    rows = [[candidate.judged for candidate in pool if candidate.judged] for pool in pools]
    judges = max((len(row) for pool in rows for row in pool), default=0)
    pairs = list(itertools.combinations(range(judges), 2))
    opposed, told_apart = 0, 0
    for a, b in pairs:
        for pool in rows:
            for first, second in itertools.combinations(pool, 2):
                sign = _sign(first[a], second[a]) * _sign(first[b], second[b])
                opposed, told_apart = opposed + (sign < 0), told_apart + (sign != 0)
    flat = [row for pool in rows for row in pool]
    correlation = mean_correlation([[row[judge] for row in flat] for judge in range(judges)])
    votes = None if correlation is None else effective_votes(judges, correlation)
    return PanelAgreement(judges, opposed / told_apart if told_apart else None, correlation, votes)


def effective_votes(judges: int, correlation: float) -> float:
    """How many independent votes ``judges`` votes amount to whose mean correlation is ``correlation``:
    ``k / (1 + (k - 1) r)``.

    This is Kish's design effect; below 0, a correlation counts as 0, so that no panel is worth more than its number.
    """
    return judges / (1 + (judges - 1) * max(0.0, correlation))


def mean_correlation(votes: Sequence[Sequence[float | None]]) -> float | None:
    """The mean correlation of any two judges over what both judged; None where no two judges vary on enough.

    Args:
        votes: one row per judge, all of one length; None where a judge gave none.
    """
    correlations = []
    for first, second in itertools.combinations(votes, 2):
        both = [(x, y) for x, y in zip(first, second, strict=True) if x is not None and y is not None]
        if len({x for x, _ in both}) > 1 and len({y for _, y in both}) > 1:
            correlations.append(statistics.correlation([x for x, _ in both], [y for _, y in both]))
    return statistics.fmean(correlations) if correlations else None


def _sign(first: float | None, second: float | None) -> int:
    return 0 if first is None or second is None else (first > second) - (first < second)
