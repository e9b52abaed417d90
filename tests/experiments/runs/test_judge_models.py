from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.programs import ConfigurationError


def judged(
    config: CompareConfig, scorer: str, judge: str, *, program: str = "best_of_n", **changes: Any
) -> CompareConfig:
    strategy = StrategyConfig("chosen", program, "both", fusor="fusor", scorer=scorer, judge=judge)
    return replace(config, strategies=(strategy,), **changes)


@pytest.mark.parametrize("scorer", ["judge", "pairwise"])
def test_a_judge_does_not_choose_among_its_own_answers(
    scorer: str, config: CompareConfig, lab: Any, tmp_path: Path
) -> None:
    message = (
        "strategy 'chosen': the judge 'plus' would judge its own answers, as 'plus'; .* set judge_may_answer = true"
    )
    with pytest.raises(ConfigurationError, match=message):
        prepare(judged(config, scorer, "plus"), lab, tmp_path)
    assert lab.calls == 0
    prepare(judged(config, scorer, "plus", judge_may_answer=True), lab, tmp_path)


def test_no_judge_of_a_panel_does_either(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the judge 'minus' would judge its own answers"):
        prepare(judged(config, "panel", "fusor, minus"), lab, tmp_path)


def test_the_fusor_does_not_judge_its_own_fresh_answers(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the judge 'fusor' would judge its own answers"):
        prepare(judged(config, "judge", "fusor", program="fresh_solve"), lab, tmp_path)


def test_one_model_under_two_names_is_one_model(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    lab.models["alias"] = lab.lm("plus").copy(temperature=0.2)
    with pytest.raises(ConfigurationError, match="the judge 'alias' would judge its own answers, as 'plus'"):
        prepare(judged(config, "judge", "alias"), lab, tmp_path)


@pytest.mark.parametrize("scorer", ["gen_select", "usc"])
def test_a_model_may_pick_among_its_own_samples(scorer: str, config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    assert prepare(judged(config, scorer, "plus"), lab, tmp_path).plan[0].judges == ("plus",)


def test_another_model_may_judge(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    assert prepare(judged(config, "panel", "fusor,other", models=""), _with_other(lab), tmp_path).plan[0].judges == (
        "fusor",
        "other",
    )


def _with_other(lab: Any) -> Any:
    lab.add("other", lambda request: "1/1")
    return lab
