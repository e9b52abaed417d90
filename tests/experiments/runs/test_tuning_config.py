from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.runs.tuning import prepare_tuning
from dspy_fusion.experiments.runs.tuning_config import TuningConfig
from dspy_fusion.optimizers import Budget
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

TABLE: dict[str, Any] = {"task": "worksheets", "program": {"program": "fusion", "pool": "plus"}}
CONFIGS = Path(__file__).parents[3] / "experiments" / "configs"


def test_a_table_becomes_a_study() -> None:
    given = {
        **TABLE,
        "trials": 3,
        "budget": {"calls": 10, "cost": 2},
        "objectives": ["quality"],
        "pools": {"a": ["x", "y"]},
    }
    config = TuningConfig.parse(given)
    assert (config.trials, config.budget, config.objectives) == (3, Budget(calls=10, cost=2.0), ("quality",))
    assert (config.program.name, config.pools) == ("fusion", {"a": ("x", "y")})


def test_the_files_of_the_library_are_right() -> None:
    assert TuningConfig.read(CONFIGS / "tune.toml").task == "worksheets"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trails": 3}, "unknown key 'trails'; allowed are task, program"),
        ({"program": {"program": "fusion", "pol": "plus"}}, r"\[program\]: unknown key 'pol'"),
        ({"program": "fusion"}, r"program is written as a \[program\] table"),
        ({"budget": {"call": 3}}, r"\[budget\]: unknown key 'call'; allowed are calls, tokens, cost, seconds"),
        ({"budget": {"calls": 0}}, "budget calls must be positive"),
        ({"objectives": "quality"}, "objectives must be a list of texts, but got 'quality'"),
        ({"trials": "many"}, "trials must be of type int, but got 'many'"),
        ({"price": "euros"}, "price must be one of tokens, calls, dollars, gpu_seconds, but got price='euros'"),
        ({"examples": 0}, "examples must be at least 1"),
        ({"held_out": -1}, "held_out must be at least 0"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TuningConfig.parse({**TABLE, **change})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match="the key 'program' is missing"):
        TuningConfig.parse({"task": "worksheets"})


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"trials": 99}, True),
        ({"budget": {"calls": 5}}, True),
        ({"examples": 3}, False),
        ({"seed": 1}, False),
        ({"adapters": ["chat"]}, False),
        ({"reasoning": ["field"]}, False),
        ({"reasoning": []}, True),
    ],
)
def test_a_study_goes_on_with_more_trials_but_not_on_other_examples(change: dict[str, Any], same: bool) -> None:
    assert (TuningConfig.parse({**TABLE, **change}).digest == TuningConfig.parse(TABLE).digest) is same


def test_defaults_are_those_of_the_documentation() -> None:
    config: TuningConfig = TuningConfig.parse(TABLE)
    assert (config.trials, config.objectives, config.budget) == (40, ("quality", "cost"), Budget())


@pytest.mark.parametrize(
    ("change", "splits"),
    [
        ({}, ("validation", "test")),
        ({"split": "test"}, ("test", "test")),
        ({"split": "train", "held_out_split": "train"}, ("train", "train")),
    ],
)
def test_no_trial_sees_a_held_out_example(change: dict[str, Any], splits: tuple[str, str]) -> None:
    tuning = prepare_tuning(TuningConfig.parse({**TABLE, "examples": 4, "held_out": 3, **change}), load_models(None))
    scored_on, held_out = ([example.id for example in examples] for examples in (tuning.examples, tuning.held_out))
    assert (len(scored_on), len(held_out)) == (4, 3)
    assert not set(scored_on) & set(held_out)
    assert (scored_on[0].partition("-")[0], held_out[0].partition("-")[0]) == splits
