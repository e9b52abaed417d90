from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.evidence.verdict import Verdict, judge
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs import Usage

Make = Callable[..., Record]


WOBBLE = [-0.02, 0.0, 0.02, 0.01, -0.01, 0.0, 0.01, -0.02, 0.01]


def verdict_on(config: CompareConfig, record: Make, **scores: float) -> Verdict:
    """Every strategy scores its value, a little up and down from example to example."""
    names = {name: name.replace("_", " ") for name in scores}
    records = [record(names[k], i, v + w * (k != "fusion")) for k, v in scores.items() for i, w in enumerate(WOBBLE)]
    return judge(summarize(config, records))


@pytest.fixture
def full(config: CompareConfig) -> CompareConfig:
    fresh = StrategyConfig("fresh solve", "fresh_solve", "both", fusor="fusor")
    return replace(config, strategies=(*config.strategies, fresh))


@pytest.mark.parametrize(
    ("scores", "outcome"),
    [
        ({"vote": 0.5, "vote_per_part": 0.6, "fresh_solve": 0.5}, "fuse"),
        ({"vote": 0.5, "vote_per_part": 0.6, "fresh_solve": 0.9}, "do not fuse here"),
        ({"vote": 0.9, "vote_per_part": 0.6, "fresh_solve": 0.5}, "do not fuse here"),
        ({"vote": 0.7, "vote_per_part": 0.6, "fresh_solve": 0.5}, "no clear difference"),
    ],
)
def test_fusion_must_be_ahead_of_every_opponent(
    full: CompareConfig, record: Make, scores: dict[str, float], outcome: str
) -> None:
    assert verdict_on(full, record, fusion=0.7, **scores).outcome == outcome


def test_reason_names_opponent_interval_and_cost(full: CompareConfig, record: Make) -> None:
    verdict = verdict_on(full, record, fusion=0.7, vote=0.5)
    assert "ahead of the best selector (vote): +20.0 points [" in verdict.reason
    assert "p=0.004, n=9, at 1.0 times its tokens" in verdict.reason


def test_losing_to_the_vote_per_part_alone_is_qualified(full: CompareConfig, record: Make) -> None:
    verdict = verdict_on(full, record, fusion=0.7, vote=0.5, vote_per_part=0.9)
    assert (verdict.outcome, "whose parts can be compared" in verdict.reason) == ("do not fuse here", True)


def test_a_fusor_that_does_without_candidates_is_called_out(full: CompareConfig, record: Make) -> None:
    assert "without seeing a candidate" in verdict_on(full, record, fusion=0.7, vote=0.5, fresh_solve=0.7).reason
    assert "without seeing a candidate" not in verdict_on(full, record, fusion=0.7, vote=0.5, fresh_solve=0.5).reason


def test_p_is_adjusted_for_all_that_the_opponent_was_picked_from(full: CompareConfig, record: Make) -> None:
    more = tuple(StrategyConfig(f"bon {i}", "best_of_n", "both", scorer="likelihood") for i in range(20))
    alone = verdict_on(full, record, fusion=0.7, vote=0.6)
    worse = {strategy.name: 0.5 for strategy in more}
    many = verdict_on(replace(full, strategies=(*full.strategies, *more)), record, fusion=0.7, vote=0.6, **worse)
    assert (alone.contests[0].result, many.contests[0].result) == ("better", "unclear")
    assert many.contests[0].difference.low > 0


def spending(record: Make, name: str, score: float, tokens: int) -> list[Record]:
    usage = {"candidates": Usage(3, tokens, 0)}
    return [record(name, i, score + w, usage=usage) for i, w in enumerate(WOBBLE)]


def test_equal_cost_is_told_with_the_number_of_candidates(config: CompareConfig, record: Make) -> None:
    records = [
        *spending(record, "fusion", 0.7, 300),
        *spending(record, "vote", 0.6, 900),
        *spending(record, "vote (n=2)", 0.5, 310),
    ]
    verdict = judge(summarize(config, records))
    assert "At equal cost (tokens within 15 %): fusion is ahead of vote (n=2), +20.0 points" in verdict.reason
    assert verdict.outcome == "fuse"


def test_losing_at_equal_cost_settles_it(config: CompareConfig, record: Make) -> None:
    curved = replace(config, strategies=(*config.strategies[:-1], replace(config.strategies[-1], every_n=True)))
    records = [
        *spending(record, "fusion", 0.7, 900),
        *spending(record, "fusion (n=2)", 0.4, 310),
        *spending(record, "vote", 0.6, 300),
    ]
    verdict = judge(summarize(curved, records))
    assert verdict.contests[0].result == "better"
    assert (verdict.outcome, "fusion (n=2) is behind vote" in verdict.reason) == ("do not fuse here", True)


def test_nothing_at_equal_cost_is_said(full: CompareConfig, record: Make) -> None:
    records = [*spending(record, "fusion", 0.7, 900), *spending(record, "vote", 0.6, 300)]
    assert "Nothing that does not fuse costs as many tokens" in judge(summarize(full, records)).reason


def test_groups_that_lose_are_named_although_the_mean_wins(config: CompareConfig, record: Make) -> None:
    gains = {"de": 0.3, "fr": 0.3, "sw": -0.1, "uk": 0.1}
    places = [(group, 100 * place + i) for place, group in enumerate(gains) for i in range(3 if group == "uk" else 9)]
    records = [record("vote", i, 0.5, group=group) for group, i in places]
    records += [record("fusion", i, 0.5 + gains[group], group=group) for group, i in places]
    reason = judge(summarize(config, records)).reason
    assert "Though ahead of vote on average, it loses to it in sw (-10.0 points [-10.0, -10.0])." in reason
    assert "uk" not in reason


def test_the_oracle_is_no_opponent(full: CompareConfig, record: Make) -> None:
    assert verdict_on(full, record, fusion=0.7, oracle=0.9).outcome == "no verdict"


def test_nothing_fused_gives_no_verdict(config: CompareConfig, record: Make) -> None:
    assert verdict_on(config, record, vote=0.5).outcome == "no verdict"
