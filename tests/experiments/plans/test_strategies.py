from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.plans.default_strategies import preset_config
from dspy_fusion.experiments.plans.strategies import model_names, planned
from dspy_fusion.experiments.plans.strategy_programs import Site, build
from dspy_fusion.experiments.tasks.worksheets import WORKSHEETS
from dspy_fusion.programs import ConfigurationError


def plan_of(config: CompareConfig, **strategy: object) -> None:
    given = {"name": "s", "program": "vote", "pool": "both", **strategy}
    planned(replace(config, strategies=(StrategyConfig(**given),)))  # type: ignore[arg-type]


def test_every_n_adds_a_point_for_each_smaller_n(config: CompareConfig) -> None:
    points = [(strategy.curve_of, strategy.n) for strategy in planned(config) if strategy.curve_of]
    assert points == [("vote", 1), ("vote", 2)]


def test_fresh_solve_has_as_many_calls_as_fusion(config: CompareConfig) -> None:
    fresh = StrategyConfig("fresh", "fresh_solve", "both", fusor="fusor")
    (planned_fresh,) = planned(replace(config, strategies=(fresh,)))
    assert (planned_fresh.models, planned_fresh.n) == (("fusor",), config.n + 1)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"program": "guess"}, "there is no program 'guess'; there are: single, vote"),
        ({"program": "best_of_n"}, "best_of_n needs a scorer, one of: likelihood"),
        ({"program": "best_of_n", "scorer": "taste"}, "there is no scorer 'taste'"),
        ({"program": "best_of_n", "scorer": "judge"}, "scorer 'judge' needs a model"),
    ],
)
def test_what_a_strategy_lacks_is_named(config: CompareConfig, strategy: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        plan_of(config, **strategy)


def test_every_asked_model_is_named_once(config: CompareConfig) -> None:
    assert model_names(planned(config)) == ("plus", "minus", "fusor")


def test_preset_leaves_out_what_needs_a_judge() -> None:
    without = preset_config("worksheets", ["a", "b"])
    assert not {strategy.scorer for strategy in without.strategies} & {"judge", "pairwise"}
    assert "judge" in {strategy.scorer for strategy in preset_config("worksheets", ["a"], judge="j").strategies}


def test_stopping_rules_and_gates_are_options_of_strategies(config: CompareConfig, lab: Any) -> None:
    strategies = (
        StrategyConfig("auto", "vote", "both", n=8, options={"stopping": {"rule": "optimal", "round_size": 2}}),
        StrategyConfig("gated", "fusion", "both", fusor="fusor", options={"gate": 1.0, "stopping": "agreement"}),
    )
    lms = {name: lab.lm(name) for name in ("plus", "minus", "fusor")}
    site = Site(WORKSHEETS, WORKSHEETS.instructions, lms, None, 0)
    auto, gated = (build(strategy, site) for strategy in planned(replace(config, strategies=strategies)))
    assert (auto.n.value, auto.stopping.rule.value, auto.stopping.round_size.value) == (8, "optimal", 2)
    assert (gated.n.name, gated.gate.share.value) == ("max_n", 1.0)
