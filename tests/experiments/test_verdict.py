from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dspy_fusion.experiments.config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records import Record
from dspy_fusion.experiments.summary import summarize
from dspy_fusion.experiments.verdict import Verdict, judge

Make = Callable[..., Record]


def verdict_on(config: CompareConfig, record: Make, **scores: float) -> Verdict:
    """Every strategy scores its value, a little up and down from example to example."""
    names = {name: name.replace("_", " ") for name in scores}
    wobble = [-0.02, 0.0, 0.02, 0.01, -0.01, 0.0]
    records = [record(names[k], i, v + w * (k != "fusion")) for k, v in scores.items() for i, w in enumerate(wobble)]
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
def test_fusion_must_be_ahead_of_every_opponent(full: CompareConfig, record: Make, scores: dict[str, float], outcome: str) -> None:
    assert verdict_on(full, record, fusion=0.7, **scores).outcome == outcome


def test_reason_names_opponent_interval_and_cost(full: CompareConfig, record: Make) -> None:
    verdict = verdict_on(full, record, fusion=0.7, vote=0.5)
    assert "ahead of the best selector (vote): +20.0 points [" in verdict.reason
    assert "n=6, at 1.0 times its tokens" in verdict.reason


def test_losing_to_the_vote_per_part_alone_is_qualified(full: CompareConfig, record: Make) -> None:
    verdict = verdict_on(full, record, fusion=0.7, vote=0.5, vote_per_part=0.9)
    assert (verdict.outcome, "whose parts can be compared" in verdict.reason) == ("do not fuse here", True)


def test_a_fusor_that_does_without_candidates_is_called_out(full: CompareConfig, record: Make) -> None:
    assert "without seeing a candidate" in verdict_on(full, record, fusion=0.7, vote=0.5, fresh_solve=0.7).reason
    assert "without seeing a candidate" not in verdict_on(full, record, fusion=0.7, vote=0.5, fresh_solve=0.5).reason


def test_the_oracle_is_no_opponent(full: CompareConfig, record: Make) -> None:
    assert verdict_on(full, record, fusion=0.7, oracle=0.9).outcome == "no verdict"


def test_nothing_fused_gives_no_verdict(config: CompareConfig, record: Make) -> None:
    assert verdict_on(config, record, vote=0.5).outcome == "no verdict"
