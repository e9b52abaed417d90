from __future__ import annotations

from collections.abc import Callable

import pytest

from dspy_fusion.experiments.evidence.equal_budget import budget_table, equal_budget
from dspy_fusion.experiments.evidence.summary import Summary, summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs import Usage

Make = Callable[..., Record]


def summary_of(config: CompareConfig, record: Make, **spent: tuple[int, int, float]) -> Summary:
    """Strategies by name, with the calls, tokens and score of each answer."""
    records = [
        record(name.replace("_", " "), i, score + i / 100, usage={"candidates": Usage(calls, tokens, 0)})
        for name, (calls, tokens, score) in spent.items()
        for i in range(6)
    ]
    return summarize(config, records)


def test_equal_calls_and_tokens_are_matched(config: CompareConfig, record: Make) -> None:
    (match,) = equal_budget(summary_of(config, record, vote=(6, 1000, 0.5), fusion=(6, 1100, 0.75)))
    assert (match.fused.strategy.name, match.other.strategy.name, match.equal) == ("fusion", "vote", "calls and tokens")
    assert (match.difference.mean, match.p_holm) == (pytest.approx(0.25), 2 / 2**6)


def test_a_point_of_a_curve_may_be_the_one_that_costs_the_same(config: CompareConfig, record: Make) -> None:
    spent = {"vote": (5, 900, 0.6), "vote (n=2)": (2, 300, 0.5), "fusion": (3, 310, 0.75)}
    (match,) = equal_budget(summary_of(config, record, **spent))
    assert (match.other.strategy.name, match.equal) == ("vote (n=2)", "tokens")


def test_equal_calls_are_the_last_resort(config: CompareConfig, record: Make) -> None:
    (match,) = equal_budget(summary_of(config, record, vote=(6, 100, 0.5), fusion=(6, 1100, 0.75)))
    assert match.equal == "calls"


def test_without_reported_tokens_only_calls_are_compared(config: CompareConfig, record: Make) -> None:
    (match,) = equal_budget(summary_of(config, record, vote=(6, 0, 0.5), fusion=(6, 0, 0.75)))
    assert match.equal == "calls"


def test_what_costs_something_else_is_left_out(config: CompareConfig, record: Make) -> None:
    assert (
        equal_budget(summary_of(config, record, single=(1, 100, 0.5), vote=(5, 500, 0.5), fusion=(6, 1100, 0.75))) == ()
    )


def test_the_oracle_is_no_match(config: CompareConfig, record: Make) -> None:
    assert equal_budget(summary_of(config, record, oracle=(6, 1000, 0.5), fusion=(6, 1000, 0.75))) == ()


def test_the_tolerance_is_the_callers(config: CompareConfig, record: Make) -> None:
    summary = summary_of(config, record, vote=(5, 1000, 0.5), fusion=(6, 1300, 0.75))
    assert equal_budget(summary) == ()
    assert equal_budget(summary, tolerance=0.3)[0].equal == "calls and tokens"


def test_table_shows_both_sides(config: CompareConfig, record: Make) -> None:
    table = budget_table(equal_budget(summary_of(config, record, vote=(6, 1000, 0.5), fusion=(6, 1100, 0.75))))
    assert table.rows[0][:6] == ("fusion", "vote", "calls and tokens", "6.0 : 6.0", "1100 : 1000", "77.5 : 52.5")
