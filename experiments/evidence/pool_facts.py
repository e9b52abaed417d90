"""Facts about each pool.

What its candidates are worth alone, what choosing among them could reach at best, and what none of them has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..plans.strategies import Strategy
from ..records.record import Record, scores_of
from ..statistics.intervals import Interval, clopper_pearson_upper, mean_interval, pass_at


@dataclass(frozen=True)
class PoolFacts:
    """What the candidates of one pool allow at all."""

    name: str
    """As the configuration calls it; the strategy's name where a program of the user's own draws it."""
    key: tuple[object, ...]
    """By which strategies tell that they share it."""
    n: int
    """Candidates per pool."""
    single: Interval
    """Mean score of the candidates: what one sample is worth."""
    oracle: Interval
    """Mean score of each pool's best candidate; an upper bound for choosing, which needs the right answers."""
    oracle_whole: Interval
    """Share of pools in which a candidate is right in full."""
    beta: float
    """Share of pools without a candidate that is right in full (arXiv 2606.27288)."""
    beta_upper: float
    """Upper 95 % bound of beta (Clopper-Pearson), the seeds of an example counted as one trial."""
    pass_at: tuple[float, ...]
    """The chance that one of k candidates is right in full, k = 1 .. n, averaged over the subsets of each pool."""


def pool_facts(
    shown: Iterable[Strategy], by_strategy: Mapping[str, list[Record]], groups: Mapping[str, str]
) -> Iterable[PoolFacts]:
    """The facts about each pool, once where several strategies share it."""
    counted: set[tuple[object, ...]] = set()
    for strategy in shown:
        pooled = [record for record in by_strategy[strategy.name] if len(record.candidates) == strategy.n]
        if (
            strategy.n > 1
            and strategy.role != "control"
            and not strategy.curve_of
            and strategy.pool_key not in counted
            and pooled
        ):
            counted.add(strategy.pool_key)
            yield _facts_of(strategy, pooled, groups)


def _facts_of(strategy: Strategy, records: list[Record], groups: Mapping[str, str]) -> PoolFacts:
    whole = scores_of(records, lambda record: float(record.best_candidate == 1))
    oracle_whole = mean_interval(whole, strata=groups)
    beta = 1 - oracle_whole.mean
    return PoolFacts(
        name=strategy.name if strategy.is_own else strategy.pool,
        key=strategy.pool_key,
        n=strategy.n,
        single=mean_interval(
            scores_of(records, lambda record: float(np.mean([c.score for c in record.candidates]))), strata=groups
        ),
        oracle=mean_interval(scores_of(records, lambda record: record.best_candidate or 0.0), strata=groups),
        oracle_whole=oracle_whole,
        beta=beta,
        beta_upper=clopper_pearson_upper(beta * oracle_whole.n, oracle_whole.n),
        pass_at=pass_at([[candidate.score == 1 for candidate in record.candidates] for record in records]),
    )
