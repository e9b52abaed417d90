"""What the tuner leaves out of its space since the program's models do not take it, and how often it fell back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor
from faults.refusing_server import fields, openai_error, refusing_server
from tuning_problem import CAREFUL, EXAMPLES, answer, program, tuner

from dspy_fusion.optimizers import SearchSpace, TuningReport
from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, ProposeAggregate
from dspy_fusion.programs.calls.refused_options import Refusal, forget_refusals, remember

TEMPERATURES = {"temperature", "aggregation_temperature", "fusor_temperature"}


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    forget_refusals()
    yield
    forget_refusals()


def ranges(program: dspy.Module) -> dict[str, tuple[float, float]]:
    found = SearchSpace.of(program).dimensions
    return {d.name: (d.low, d.high) for d in found if d.name.endswith("temperature")}


def layered(**options: Any) -> dspy.Module:
    return ProposeAggregate(dspy.Predict("question -> answer"), **options)


def test_a_model_that_takes_every_temperature_is_searched_as_before() -> None:
    with dspy.context(lm=dspy.LM("hosted_vllm/m")):
        assert ranges(layered())["temperature"] == (0.1, 1.3)


def test_the_temperatures_of_a_reasoning_model_are_not_searched() -> None:
    with dspy.context(lm=dspy.LM("openai/gpt-5-mini")):
        assert ranges(layered()) == {}
        fused = ranges(Fusion(dspy.Predict("question -> answer"), fusor_lm=dspy.LM("hosted_vllm/m")))
    assert set(fused) == {"fusor_temperature"}


@pytest.mark.parametrize("model", ["anthropic/claude-3-haiku-20240307", "bedrock/us.amazon.nova-lite-v1:0"])
def test_a_temperature_stays_within_the_providers_range(model: str) -> None:
    with dspy.context(lm=dspy.LM(model)):
        assert ranges(layered())["temperature"] == (0.1, 1.0)


def test_of_several_models_those_that_take_a_temperature_decide() -> None:
    lms = [dspy.LM("openai/gpt-5-mini"), dspy.LM("anthropic/claude-3-haiku-20240307"), dspy.LM("hosted_vllm/m")]
    assert ranges(layered(lms=lms))["temperature"] == (0.1, 1.0)


def test_a_predictors_own_model_is_the_one_that_counts() -> None:
    own = dspy.Predict("question -> answer")
    own.lm = dspy.LM("openai/gpt-5-mini")
    with dspy.context(lm=dspy.LM("hosted_vllm/m")):
        assert set(ranges(Fusion(own))) == {"fusor_temperature"}


def test_an_earlier_refusal_counts_and_leaves_the_study_its_name() -> None:
    with dspy.context(lm=(lm := dspy.LM("hosted_vllm/m"))):
        before = SearchSpace.of(layered())
        remember(lm, Refusal("temperature", 0.7))
        after = SearchSpace.of(layered())
    assert not TEMPERATURES & {dimension.name for dimension in after.dimensions}
    assert after.describe() == before.describe()


def test_where_only_a_temperature_could_be_tuned_that_is_an_error() -> None:
    judged = BestOfN(dspy.Predict("question -> answer"), n=2, scorer=lambda inputs, prediction: 1.0)
    with (
        dspy.context(lm=dspy.LM("openai/gpt-5-mini")),
        pytest.raises(ConfigurationError, match=r"the models of the program take no temperature \(temperature\)"),
    ):
        SearchSpace.of(judged, exclude=["n"])


def test_what_the_server_refuses_in_the_baseline_is_not_searched(tmp_path: Path) -> None:
    def rule(body: dict[str, Any]) -> Any:
        if "temperature" in body:
            return openai_error("not supported", "temperature", "unsupported_parameter")
        return None

    with refusing_server(rule, say=lambda body: {"content": fields(answer="yes")}) as server:
        lm = dspy.LM("hosted_vllm/m", engine="lm15", api_base=f"{server.address}/v1", api_key="k", cache=False)
        with dspy.context(lm=lm):
            tuned = tuner(tmp_path, exclude=(), trials=2).compile(program(), valset=EXAMPLES[:6])
            again = tuner(tmp_path, exclude=(), trials=3).compile(program(), valset=EXAMPLES[:6])
    report = tuned.tuning_report
    assert not any(TEMPERATURES & set(trial.setting) for trial in report.trials)
    assert "temperature was not searched: the model takes no temperature" in report.notes
    assert again.tuning_report.study == report.study
    assert len(again.tuning_report.trials) == 3


def test_trials_that_fell_back_are_counted(tmp_path: Path) -> None:
    def failing(request: Any) -> Any:
        return "no fields" if is_fusor(request) else answer(request)

    with dspy.context(lm=ScriptedLM(failing)):
        report = tuner(tmp_path, trials=2, racing_error=0.0).compile(program(), valset=EXAMPLES).tuning_report
    assert all(trial.fallbacks == trial.scored for trial in report.trials)
    assert any(note.startswith("in 2 of 2 trials a fusor failed on some example") for note in report.notes)
    report.save(tmp_path / "report.json")
    assert TuningReport.load(tmp_path / "report.json") == report


def test_a_fusor_that_never_fails_is_not_spoken_of(tmp_path: Path) -> None:
    with dspy.context(lm=ScriptedLM(answer)):
        report = tuner(tmp_path, trials=2, instructions=[CAREFUL]).compile(program(), valset=EXAMPLES).tuning_report
    assert not any(trial.fallbacks for trial in report.trials)
    assert not any("fusor failed" in note for note in report.notes)
