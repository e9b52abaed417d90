"""From records to numbers: one row per strategy, facts about each pool, and quality against the number of candidates.

Choosing can never beat the best candidate (arXiv 2606.27288); records in which it does are refused, since none of their
numbers could be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dspy_fusion.programs.errors import RecordError

from ..plans.comparison_config import CompareConfig
from ..plans.strategies import Strategy, planned
from ..records.record import Record, scores_of
from ..statistics.intervals import Interval, Scores, mean_interval, paired_difference
from ..statistics.significance import holm, sign_flip_p
from ..tasks import loaded_task
from .pool_facts import PoolFacts, pool_facts


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
    scores: Scores
    """The score of each (example, seed)."""
    score: Interval
    """Mean score."""
    whole: Interval
    """Share of answers that are right in full."""
    difference: Interval | None
    """Mean score minus the reference strategy's, paired; None for the reference itself."""
    aspects: Mapping[str, float]
    """Means of the further scores, by name, over the answers that have them."""
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
    p_holm: float | None = None
    """P value of the difference, adjusted for all the strategies of the table that are compared with the reference (the
    oracle, which is
    ahead by construction, is not one of them)."""

    @property
    def cost(self) -> MeanUsage:
        """The usage of all roles together."""
        roles = self.usage.values()
        return MeanUsage(
            sum(role.calls for role in roles),
            sum(role.tokens_in for role in roles),
            sum(role.tokens_out for role in roles),
        )

    @property
    def tokens(self) -> float:
        """Tokens in and out, of all roles."""
        return self.cost.tokens_in + self.cost.tokens_out


@dataclass(frozen=True)
class Summary:
    """All numbers of a comparison."""

    config: CompareConfig
    rows: tuple[Row, ...]
    """In the order of the configuration; strategies without records are left out."""
    pools: tuple[PoolFacts, ...]
    curve: tuple[Row, ...]
    """The strategies with an N curve at every n, in the order of the configuration, then by n."""
    expected: int
    """How many records a finished run has."""
    found: int
    """How many of them there are."""
    groups: Mapping[str, str]
    """What group each example is in; empty where the task has none."""
    set_aside: int = 0
    """How many of the task's rows were not asked, because their right answer cannot be read."""

    @property
    def points(self) -> tuple[Row, ...]:
        """The rows and the points of their N curves."""
        return (*self.rows, *(row for row in self.curve if row.strategy.curve_of))


def summarize(
    config: CompareConfig, records: Sequence[Record], *, examples: int | None = None, set_aside: int = 0
) -> Summary:
    """The numbers of a comparison, also of one that is not finished.

    Args:
        config: what was compared.
        records: what there is of it.
        examples: how many examples it has; None takes as many as were asked for.
        set_aside: how many of the task's rows were not asked.

    Raises:
        RecordError: a strategy that only chooses scored above every candidate that it could choose from.
    """
    plan = planned(config)
    by_strategy: dict[str, list[Record]] = {strategy.name: [] for strategy in plan}
    for record in records:
        if record.strategy in by_strategy:
            by_strategy[record.strategy].append(record)
    strategies = [strategy for strategy in plan if by_strategy[strategy.name]]
    for strategy in strategies:
        if strategy.role == "select":
            _check_selection(by_strategy[strategy.name])
    groups = {record.example: record.group for record in records if record.group}
    reference = scores_of(by_strategy[config.reference_name])
    rows = [_row(s, by_strategy[s.name], reference, config.reference_name, groups) for s in strategies]
    curved = [row for row in rows if row.strategy.every_n or row.strategy.curve_of]
    order = {s.name: place for place, s in enumerate(plan)}
    return Summary(
        config=config,
        rows=_adjusted([row for row in rows if not row.strategy.curve_of], reference),
        pools=tuple(pool_facts(strategies, by_strategy, groups)),
        curve=tuple(
            sorted(curved, key=lambda row: (order[row.strategy.curve_of or row.strategy.name], row.strategy.n))
        ),
        expected=len(plan) * (config.examples if examples is None else examples) * config.seeds,
        found=sum(map(len, by_strategy.values())),
        groups=groups,
        set_aside=set_aside,
    )


def _check_selection(records: Iterable[Record]) -> None:
    for record in records:
        best = record.best_candidate
        selects = any(
            record.answer == candidate.text for candidate in record.candidates
        )  # a vote over several fields may mix answers
        if best is not None and selects and record.score > best + 1e-9:
            raise RecordError(
                f"strategy {record.strategy!r} only chooses, but on example {record.example!r} (seed {record.seed}) it"
                f" scored {record.score:g}, above its best candidate's {best:g}; the metric gave one answer two scores"
                " or the records are damaged"
            )


def _adjusted(rows: Sequence[Row], reference: Scores) -> tuple[Row, ...]:
    """The rows with their adjusted p values."""
    tested = [row for row in rows if row.difference is not None and row.strategy.role != "oracle"]
    p_values = holm([sign_flip_p(row.scores, reference) for row in tested])
    adjusted = {row.strategy.name: p for row, p in zip(tested, p_values, strict=True)}
    return tuple(replace(row, p_holm=adjusted.get(row.strategy.name)) for row in rows)


def _row(
    strategy: Strategy, records: list[Record], reference: Scores, reference_name: str, groups: Mapping[str, str]
) -> Row:
    scores = scores_of(records)
    contested = [record for record in records if strategy.n > 1 and strategy.role != "oracle" and record.candidates]
    versus = [np.sign(record.score - (record.best_candidate or 0.0)) for record in contested]
    comparable = strategy.name != reference_name and bool(scores.keys() & reference.keys())
    return Row(
        strategy=strategy,
        scores=scores,
        score=mean_interval(scores, strata=groups),
        whole=mean_interval(scores_of(records, lambda record: float(record.score == 1)), strata=groups),
        difference=paired_difference(scores, reference, strata=groups) if comparable else None,
        aspects=_aspect_means(records),
        usage={
            role: _mean_usage(role, records) for role in sorted({role for record in records for role in record.usage})
        },
        cost_usd=float(np.mean([record.cost_usd for record in records])),
        depth=float(np.mean([record.depth for record in records if record.error is None] or [0])),
        seconds=float(np.mean([record.seconds for record in records])),
        wins=versus.count(1),
        ties=versus.count(0),
        losses=versus.count(-1),
        failures=sum(record.error is not None for record in records),
        fallbacks=sum(record.fallback is not None for record in records),
    )


def _mean_usage(role: str, records: list[Record]) -> MeanUsage:
    used = [record.usage[role] for record in records if role in record.usage]
    total = [
        sum(usage.calls for usage in used),
        sum(usage.tokens_in for usage in used),
        sum(usage.tokens_out for usage in used),
    ]
    return MeanUsage(*(value / len(records) for value in total))


def _aspect_means(records: Sequence[Record]) -> Mapping[str, float]:
    task = loaded_task(records[0].task)
    return ((task.aspect_means if task else None) or _mean_aspects)(records)


def _mean_aspects(records: Sequence[Record]) -> Mapping[str, float]:
    """The mean of each aspect over the answers that have it; an answer that could not be made counts as 0."""
    by_aspect: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.aspects.items():
            by_aspect.setdefault(name, []).append(value)
    failed = sum(record.answer is None for record in records)
    return {name: sum(values) / (len(values) + failed) for name, values in by_aspect.items()}
