"""From records to numbers: one row per strategy, facts about each pool, and quality against the number of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .config import CompareConfig
from .records import Record
from .stats import Estimate, clopper_pearson_upper, mean_interval, paired_difference, pass_at
from .strategies import Strategy, planned


@dataclass(frozen=True)
class MeanUsage:
    """What one role costs per answer, on average."""

    calls: float
    tokens_in: float
    tokens_out: float


@dataclass(frozen=True)
class Row:
    """One strategy's numbers; costs are means per answer."""

    strategy: Strategy
    """What it is."""
    scores: Mapping[tuple[str, int], float]
    """The score of each (example, seed)."""
    score: Estimate
    """Mean score."""
    whole: Estimate
    """Share of answers that are right in full."""
    difference: Estimate | None
    """Mean score minus the reference strategy's, paired; None for the reference itself."""
    usage: Mapping[str, MeanUsage]
    """Cost by role."""
    cost_usd: float
    """By the catalogue's prices."""
    depth: float
    """Calls that follow one another, in answers that were made."""
    seconds: float
    """Wall time of one answer while the run's other answers were made too."""
    wins: int
    """Answers better than the best candidate of their pool."""
    ties: int
    """Answers as good as the best candidate of their pool."""
    losses: int
    """Answers worse than the best candidate of their pool."""
    failures: int
    """Answers that could not be made; they count with score 0."""
    fallbacks: int
    """Answers that are not the fusor's although they should have been."""

    @property
    def cost(self) -> MeanUsage:
        """The usage of all roles together."""
        roles = self.usage.values()
        return MeanUsage(sum(role.calls for role in roles), sum(role.tokens_in for role in roles), sum(role.tokens_out for role in roles))

    @property
    def tokens(self) -> float:
        """Tokens in and out, of all roles."""
        return self.cost.tokens_in + self.cost.tokens_out


@dataclass(frozen=True)
class PoolFacts:
    """What the candidates of one pool allow at all."""

    name: str
    """As the configuration calls it."""
    n: int
    """Candidates per pool."""
    single: Estimate
    """Mean score of the candidates: what one sample is worth."""
    oracle: Estimate
    """Mean score of each pool's best candidate; an upper bound for choosing, which needs the right answers."""
    oracle_whole: Estimate
    """Share of pools in which a candidate is right in full."""
    beta: float
    """Share of pools without a candidate that is right in full (arXiv 2606.27288)."""
    beta_upper: float
    """Upper 95 % bound of beta (Clopper-Pearson), the seeds of an example counted as one trial."""
    pass_at: tuple[float, ...]
    """The chance that one of k candidates is right in full, k = 1 .. n, averaged over the subsets of each pool."""


@dataclass(frozen=True)
class CurvePoint:
    """A strategy's score with n candidates."""

    strategy: Strategy
    n: int
    score: Estimate


@dataclass(frozen=True)
class Summary:
    """All numbers of a comparison."""

    config: CompareConfig
    rows: tuple[Row, ...]
    """In the order of the configuration; strategies without records are left out."""
    pools: tuple[PoolFacts, ...]
    curve: tuple[CurvePoint, ...]
    """In the order of the configuration, then by n."""
    expected: int
    """How many records a finished run has."""
    found: int
    """How many of them there are."""


def summarize(config: CompareConfig, records: Sequence[Record]) -> Summary:
    """The numbers of a comparison, also of one that is not finished."""
    plan = planned(config)
    by_strategy: dict[str, list[Record]] = {strategy.name: [] for strategy in plan}
    for record in records:
        if record.strategy in by_strategy:
            by_strategy[record.strategy].append(record)
    reference = _scores(by_strategy[config.reference_name])
    shown = [strategy for strategy in plan if by_strategy[strategy.name]]
    rows = tuple(_row(s, by_strategy[s.name], reference, config.reference_name) for s in shown if not s.curve_of)
    curved = [s for s in shown if s.every_n or s.curve_of]
    points = [CurvePoint(s, s.n, mean_interval(_scores(by_strategy[s.name]))) for s in curved]
    order = {s.name: place for place, s in enumerate(plan)}
    return Summary(
        config=config,
        rows=rows,
        pools=tuple(_pools(shown, by_strategy)),
        curve=tuple(sorted(points, key=lambda point: (order[point.strategy.curve_of or point.strategy.name], point.n))),
        expected=len(plan) * config.examples * config.seeds,
        found=sum(map(len, by_strategy.values())),
    )


def _row(strategy: Strategy, records: list[Record], reference: Mapping[tuple[str, int], float], reference_name: str) -> Row:
    scores = _scores(records)
    contested = [record for record in records if strategy.n > 1 and strategy.role != "oracle" and record.candidates]
    versus = [np.sign(record.score - (record.best_candidate or 0.0)) for record in contested]
    comparable = strategy.name != reference_name and bool(scores.keys() & reference.keys())
    return Row(
        strategy=strategy,
        scores=scores,
        score=mean_interval(scores),
        whole=mean_interval(_scores(records, lambda record: float(record.score == 1))),
        difference=paired_difference(scores, reference) if comparable else None,
        usage={role: _mean_usage(role, records) for role in sorted({role for record in records for role in record.usage})},
        cost_usd=float(np.mean([record.cost_usd for record in records])),
        depth=float(np.mean([record.depth for record in records if record.error is None] or [0])),
        seconds=float(np.mean([record.seconds for record in records])),
        wins=versus.count(1),
        ties=versus.count(0),
        losses=versus.count(-1),
        failures=sum(record.error is not None for record in records),
        fallbacks=sum(record.fallback is not None for record in records),
    )


def _pools(shown: Iterable[Strategy], by_strategy: Mapping[str, list[Record]]) -> Iterable[PoolFacts]:
    seen: set[tuple[object, ...]] = set()
    for strategy in shown:
        pooled = [record for record in by_strategy[strategy.name] if len(record.candidates) == strategy.n]
        if strategy.n > 1 and strategy.role != "control" and not strategy.curve_of and strategy.pool_key not in seen and pooled:
            seen.add(strategy.pool_key)
            yield _pool_facts(strategy, pooled)


def _pool_facts(strategy: Strategy, records: list[Record]) -> PoolFacts:
    whole = _scores(records, lambda record: float(record.best_candidate == 1))
    oracle_whole = mean_interval(whole)
    beta = 1 - oracle_whole.mean
    return PoolFacts(
        name=strategy.pool,
        n=strategy.n,
        single=mean_interval(_scores(records, lambda record: float(np.mean([c.score for c in record.candidates])))),
        oracle=mean_interval(_scores(records, lambda record: record.best_candidate or 0.0)),
        oracle_whole=oracle_whole,
        beta=beta,
        beta_upper=clopper_pearson_upper(beta * oracle_whole.n, oracle_whole.n),
        pass_at=pass_at([[candidate.score == 1 for candidate in record.candidates] for record in records]),
    )


def _scores(records: Iterable[Record], value: Callable[[Record], float] = lambda record: record.score) -> dict[tuple[str, int], float]:
    return {(record.example, record.seed): value(record) for record in records}


def _mean_usage(role: str, records: list[Record]) -> MeanUsage:
    used = [record.usage[role] for record in records if role in record.usage]
    total = [sum(usage.calls for usage in used), sum(usage.tokens_in for usage in used), sum(usage.tokens_out for usage in used)]
    return MeanUsage(*(value / len(records) for value in total))
