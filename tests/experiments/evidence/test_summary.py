from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dspy_fusion.experiments.evidence.summary import Row, Summary, summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs import RecordError, Usage

Make = Callable[..., Record]


def rows_of(summary: Summary) -> dict[str, Row]:
    return {row.strategy.name: row for row in summary.rows}


def test_difference_is_paired_to_the_reference(config: CompareConfig, record: Make) -> None:
    records = [record("single", i, 0.25 * i) for i in range(4)] + [
        record("fusion", i, 0.25 * i + 0.1) for i in range(4)
    ]
    row = rows_of(summarize(config, records))["fusion"]
    assert row.difference is not None
    assert (row.difference.mean, row.difference.low) == pytest.approx((0.1, 0.1))


def test_costs_are_means_per_answer_by_role(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", 0, 1.0), record("fusion", 1, 1.0, usage={"candidates": Usage(2, 200, 40)})]
    row = rows_of(summarize(config, records))["fusion"]
    assert (row.usage["candidates"].tokens_in, row.usage["fusor"].calls, row.cost.calls, row.tokens) == (
        150,
        0.5,
        2.5,
        210,
    )


def test_wins_ties_and_losses_are_against_the_best_candidate(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, score) for i, score in enumerate([1.0, 0.75, 0.5, 0.25])]
    row = rows_of(summarize(config, records))["fusion"]
    assert (row.wins, row.ties, row.losses) == (2, 1, 1)


def test_failures_count_as_zero(config: CompareConfig, record: Make) -> None:
    records = [record("vote", 0, 1.0), record("vote", 1, 0.0, pool=(), error="QuorumNotMet: none")]
    row = rows_of(summarize(config, records))["vote"]
    assert (row.failures, row.score.mean) == (1, 0.5)


def test_beta_is_the_share_of_pools_without_a_right_candidate(config: CompareConfig, record: Make) -> None:
    records = [
        record("vote", i, 0.0, pool=pool)
        for i, pool in enumerate([(1.0, 0, 0), (0.5, 0.5, 0), (0, 0, 0), (1.0, 1.0, 0)])
    ]
    (pool,) = summarize(config, records).pools
    assert (pool.beta, pool.oracle.mean, pool.pass_at[-1]) == pytest.approx((0.5, 0.625, 0.5))
    assert pool.beta < pool.beta_upper < 1


def test_curve_is_ordered_by_n(config: CompareConfig, record: Make) -> None:
    records = [record(name, 0, 1.0) for name in ("vote", "vote (n=2)", "vote (n=1)")]
    assert [point.strategy.n for point in summarize(config, records).curve] == [1, 2, 3]


def test_p_values_are_adjusted_for_every_strategy_but_the_oracle(config: CompareConfig, record: Make) -> None:
    names = {"single": 0.5, "vote": 0.5, "oracle": 0.9, "fusion": 0.75}
    records = [record(name, i, score + i / 100 * (name == "vote")) for name, score in names.items() for i in range(8)]
    rows = rows_of(summarize(config, records))
    assert [rows[name].p_holm for name in names] == [None, pytest.approx(2 / 2**7), None, pytest.approx(2 * 2 / 2**8)]


def test_choosing_above_the_best_candidate_is_refused(config: CompareConfig, record: Make) -> None:
    text = record("vote", 0, 1.0).candidates[0].text
    with pytest.raises(
        RecordError, match=r"'vote' only chooses, but on example 'test-0' \(seed 0\) it scored 1, above .* 0\.5"
    ):
        summarize(config, [record("vote", 0, 1.0, answer=text)])


def test_writing_above_the_best_candidate_is_what_fusion_is_for(config: CompareConfig, record: Make) -> None:
    assert rows_of(summarize(config, [record("fusion", 0, 1.0), record("vote per part", 0, 1.0)]))["fusion"].wins == 1


def test_groups_and_further_scores_are_kept(config: CompareConfig, record: Make) -> None:
    records = [record("single", i, 1.0, group="de" if i else "", aspects={"loose": i / 2}) for i in range(3)]
    summary = summarize(config, records)
    assert summary.groups == {"test-1": "de", "test-2": "de"}
    assert summary.rows[0].aspects == {"loose": 0.5}


def test_unfinished_run_says_so(config: CompareConfig, record: Make) -> None:
    summary = summarize(replace(config, seeds=2), [record("single", 0, 1.0)])
    assert (summary.found, summary.expected) == (1, 7 * 4 * 2)


def test_strategies_share_pool_facts(config: CompareConfig, record: Make) -> None:
    more = replace(config, strategies=(*config.strategies, StrategyConfig("own", "fusion", "fusor")))
    records = [record(name, 0, 1.0, pool=(1.0, 0.5, 0)) for name in ("vote", "oracle", "fusion", "own")]
    assert [pool.name for pool in summarize(more, records).pools] == ["both", "fusor"]


def test_an_answer_that_failed_has_no_aspect_in_its_favour(config: CompareConfig, record: Make) -> None:
    records = [record("single", 0, 1.0, aspects={"chrF": 0.8}), record("single", 1, 0.0, answer=None)]
    assert rows_of(summarize(config, records))["single"].aspects == {"chrF": 0.4}
