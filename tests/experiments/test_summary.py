from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dspy_fusion.experiments.config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records import Record
from dspy_fusion.experiments.summary import Row, Summary, summarize
from dspy_fusion.programs import Usage

Make = Callable[..., Record]


def rows_of(summary: Summary) -> dict[str, Row]:
    return {row.strategy.name: row for row in summary.rows}


def test_difference_is_paired_to_the_reference(config: CompareConfig, record: Make) -> None:
    records = [record("single", i, 0.25 * i) for i in range(4)] + [record("fusion", i, 0.25 * i + 0.1) for i in range(4)]
    row = rows_of(summarize(config, records))["fusion"]
    assert row.difference is not None
    assert (row.difference.mean, row.difference.low) == pytest.approx((0.1, 0.1))


def test_costs_are_means_per_answer_by_role(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", 0, 1.0), record("fusion", 1, 1.0, usage={"candidates": Usage(2, 200, 40)})]
    row = rows_of(summarize(config, records))["fusion"]
    assert (row.usage["candidates"].tokens_in, row.usage["fusor"].calls, row.cost.calls, row.tokens) == (150, 0.5, 2.5, 210)


def test_wins_ties_and_losses_are_against_the_best_candidate(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, score) for i, score in enumerate([1.0, 0.75, 0.5, 0.25])]
    row = rows_of(summarize(config, records))["fusion"]
    assert (row.wins, row.ties, row.losses) == (2, 1, 1)


def test_failures_count_as_zero(config: CompareConfig, record: Make) -> None:
    records = [record("vote", 0, 1.0), record("vote", 1, 0.0, pool=(), error="QuorumNotMet: none")]
    row = rows_of(summarize(config, records))["vote"]
    assert (row.failures, row.score.mean) == (1, 0.5)


def test_beta_is_the_share_of_pools_without_a_right_candidate(config: CompareConfig, record: Make) -> None:
    records = [record("vote", i, 0.0, pool=pool) for i, pool in enumerate([(1.0, 0, 0), (0.5, 0.5, 0), (0, 0, 0), (1.0, 1.0, 0)])]
    (pool,) = summarize(config, records).pools
    assert (pool.beta, pool.oracle.mean, pool.pass_at[-1]) == pytest.approx((0.5, 0.625, 0.5))
    assert pool.beta < pool.beta_upper < 1


def test_curve_is_ordered_by_n(config: CompareConfig, record: Make) -> None:
    records = [record(name, 0, 1.0) for name in ("vote", "vote (n=2)", "vote (n=1)")]
    assert [point.n for point in summarize(config, records).curve] == [1, 2, 3]


def test_unfinished_run_says_so(config: CompareConfig, record: Make) -> None:
    summary = summarize(replace(config, seeds=2), [record("single", 0, 1.0)])
    assert (summary.found, summary.expected) == (1, 7 * 4 * 2)


def test_strategies_share_pool_facts(config: CompareConfig, record: Make) -> None:
    more = replace(config, strategies=(*config.strategies, StrategyConfig("own", "fusion", "fusor")))
    records = [record(name, 0, 1.0, pool=(1.0, 0.5, 0)) for name in ("vote", "oracle", "fusion", "own")]
    assert [pool.name for pool in summarize(more, records).pools] == ["both", "fusor"]
