from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of
from tuning_problem import EXAMPLES, REST, answer, exact, program, tuner

from dspy_fusion.optimizers import MetricError, TuningReport
from dspy_fusion.programs import ConfigurationError, Fusion
from dspy_fusion.programs.calls.refused_options import Refusal, forget_refusals, remember


@pytest.fixture(autouse=True)
def lm() -> ScriptedLM:
    lm = ScriptedLM(answer)
    dspy.configure(lm=lm)
    return lm


def calls(example: dspy.Example, prediction: dspy.Prediction, usage: Any) -> float:
    return usage.calls


def with_parts(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> dspy.Prediction:
    return dspy.Prediction(score=exact(example, prediction), length=len(prediction.answer))


def test_a_second_measure_is_an_objective(tmp_path: Path) -> None:
    tuned = tuner(tmp_path, measures={"asked": calls}, objectives=("quality", "asked"), trials=8, holdout=0).compile(
        program(), valset=EXAMPLES
    )
    report = tuned.tuning_report
    whole = [trial for trial in report.trials if trial.state == "whole"]
    assert report.second == "asked"
    assert all(trial.values["asked"] == trial.setting["n"] + 1 for trial in whole)
    near = [trial for trial in whole if trial.worth >= max(other.worth for other in whole) - 1e-3]
    assert tuned.n.value == min(trial.setting["n"] for trial in near)
    assert "asked" in str(report)


def test_a_measure_of_the_answer_is_a_constraint(tmp_path: Path) -> None:
    options: dict[str, Any] = {"measures": {"asked": calls}, "constraints": "quality >= 0.5 and asked <= 4"}
    tuned = tuner(tmp_path, trials=14, holdout=0, **options).compile(program(), valset=EXAMPLES)
    assert tuned.tuning_report.chosen is not None
    assert tuned.n.value <= 3


def test_the_metrics_own_values_are_measures(tmp_path: Path) -> None:
    report = tuner(tmp_path, with_parts, constraints=["length <= 2.5"]).compile(program(), valset=EXAMPLES)
    for trial in report.tuning_report.trials:
        assert 2 <= trial.values["length"] <= 3
    assert "length" in str(report.tuning_report)


def test_constraints_that_nothing_meets_return_the_program_as_it_was_and_say_by_how_much(tmp_path: Path) -> None:
    student = program()
    limits = "quality >= 0.999 and asked <= 1"
    tuned = tuner(tmp_path, measures={"asked": calls}, constraints=limits).compile(student, valset=EXAMPLES)
    assert tuned.dump_state() == student.dump_state()
    assert "nothing meets the constraints" in tuned.tuning_report.verdict
    assert "asked <= 1 missed by 1 (the program as it was)" in tuned.tuning_report.verdict


@pytest.mark.parametrize("lacking", ["missing", "broken"])
def test_a_value_that_the_metric_does_not_return_is_named(tmp_path: Path, lacking: str) -> None:
    def metric(example: dspy.Example, prediction: dspy.Prediction) -> dict[str, Any]:
        said = {"score": 1.0, "length": 2.0}
        if example.question == "q7":
            said |= {"length": None} if lacking == "broken" else {}
            return said if lacking == "broken" else {"score": 1.0, "words": 1}
        return said

    message = "returned no 'length'.*it returned score, words" if lacking == "missing" else "length=None, which is no"
    with pytest.raises(MetricError, match=message):
        tuner(tmp_path, metric, constraints=["length <= 3"]).compile(program(), valset=EXAMPLES)


def test_a_measure_that_raises_now_and_then_is_borne_with(tmp_path: Path) -> None:
    def fails_once(example: dspy.Example, prediction: dspy.Prediction, usage: Any) -> float:
        if example.question == "q3":
            raise TimeoutError("the judge is busy")
        return 1.0

    options: dict[str, Any] = {"measures": {"polite": fails_once}, "max_errors": 0.1, "holdout": 0}
    report = tuner(tmp_path, constraints=["polite >= 1"], **options).compile(program(), valset=EXAMPLES).tuning_report
    assert all(trial.values["polite"] == 1.0 for trial in report.trials)
    with pytest.raises(MetricError, match="the measure 'polite' raised TimeoutError: the judge is busy"):
        tuner(tmp_path, study="strict", **{**options, "max_errors": 0.0}).compile(program(), valset=EXAMPLES)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_constant_metric_lets_the_cost_decide_and_is_said_to_be_constant(tmp_path: Path, score: float) -> None:
    tuned = tuner(tmp_path, lambda example, prediction: score).compile(program(n=4), valset=EXAMPLES)
    report = tuned.tuning_report
    assert any("scored the same" in note for note in report.notes)
    assert tuned.n.value <= 4
    assert report.cost_after <= report.cost_before
    tuned = tuner(tmp_path, lambda example, prediction: score, study="one", objectives=("quality",)).compile(
        program(), valset=EXAMPLES
    )
    assert tuned.tuning_report.chosen is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": [calls]}, "measures must be a table"),
        ({"measures": {"quality": calls}}, "a word of its own.*'quality'"),
        ({"measures": {"asked": 3}}, "the measure 'asked' must be a function"),
        ({"objectives": ("cost", "quality")}, "objectives must be"),
        ({"constraints": "quality > 0.5"}, "a constraint must be of the form"),
        ({"constraints": ["quality >= 0.5 and"]}, "a constraint must be of the form"),
        ({"adapters": "json"}, "adapters must be a list of chat, json, xml, plain"),
        ({"adapters": ["yaml"]}, "but got 'yaml'"),
        ({"reasoning": "field"}, "reasoning must be a list of texts such as 'field', but got 'field'"),
        ({"reasoning": [512]}, "reasoning must be a list of texts"),
        ({"reasoning": ["low", "much"]}, "the part 'much', which means nothing"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tuner(tmp_path, **options)


def test_a_study_that_was_begun_without_a_measure_is_refused(tmp_path: Path) -> None:
    tuner(tmp_path, study="one").compile(program(), valset=EXAMPLES)
    later = tuner(tmp_path, study="one", measures={"asked": calls}, constraints=["asked <= 3"])
    with pytest.raises(ConfigurationError, match="was begun without asked"):
        later.compile(program(), valset=EXAMPLES)


def test_a_report_with_measures_comes_back_from_its_file(tmp_path: Path) -> None:
    report = (
        tuner(tmp_path, measures={"asked": calls}, constraints=["asked <= 9"])
        .compile(program(), valset=EXAMPLES)
        .tuning_report
    )
    report.save(tmp_path / "report.json")
    assert TuningReport.load(tmp_path / "report.json") == report


def test_an_adapter_is_tuned_and_kept(tmp_path: Path) -> None:
    def in_json_alone(request: Any) -> Any:
        return '{"answer": "yes", "comparison": "alike"}' if "JSON" in system_of(request) else {"answer": "no"}

    dspy.configure(lm=ScriptedLM(in_json_alone))
    exclude = (*REST, "n", "compare")
    tuned = tuner(tmp_path, adapters=["json"], exclude=exclude, instructions=[]).compile(program(), valset=EXAMPLES)
    assert tuned.adapter.value == "json"
    assert "adapter chat -> json" in str(tuned.tuning_report)
    again = program()
    again.load_state(tuned.dump_state())
    assert again(question="q1").answer == "yes"


def test_the_room_for_reasoning_is_tuned_and_kept(tmp_path: Path) -> None:
    def right_after_reasoning(request: Any) -> Any:
        thinks = "[[ ## reasoning ## ]]" in system_of(request) and request.config.max_tokens == 90
        right = '"yes"' in prompt_of(request) if is_fusor(request) else thinks
        return {"reasoning": "one, two", "comparison": "alike", "answer": "yes" if right else "no"}

    dspy.configure(lm=ScriptedLM(right_after_reasoning))
    options: dict[str, Any] = {"reasoning": ["field", "field + 90 tokens"], "exclude": (*REST, "n", "compare")}
    tuned = tuner(tmp_path, instructions=[], **options).compile(program(), valset=EXAMPLES)
    assert tuned.reasoning.value == "field + 90 tokens"
    assert "reasoning None -> field + 90 tokens" in str(tuned.tuning_report)
    tuned.save(tmp_path / "tuned.json")
    again = program()
    again.load(tmp_path / "tuned.json")
    assert Fusion(again, n=1)(question="q1").answer == "yes"


def test_room_that_a_program_or_its_models_do_not_take_is_not_tried(tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: {"reasoning": "so", "comparison": "alike", "answer": "yes"})
    remember(lm, Refusal("reasoning_effort", "low"))
    dspy.configure(lm=lm)
    student = Fusion(dspy.ChainOfThought("question -> answer"), n=1)
    options: dict[str, Any] = {"reasoning": ["field", "low", "70 tokens"], "trials": 3}
    report = tuner(tmp_path, **options).compile(student, valset=EXAMPLES).tuning_report
    assert "reasoning=field was not searched: the program has such a field" in report.notes
    assert "reasoning=low was not searched: no model of the program takes reasoning_effort" in report.notes
    assert {trial.setting["reasoning"] for trial in report.trials} == {None, "70 tokens"}
    forget_refusals()


def test_plain_text_is_not_tried_where_answers_have_several_fields(tmp_path: Path) -> None:
    dspy.configure(lm=ScriptedLM(lambda request: {"reason": "so", "comparison": "alike", "answer": "yes"}))
    student = Fusion(dspy.Predict("question -> reason, answer"), n=1)
    report = tuner(tmp_path, adapters=["plain", "json"], trials=2).compile(student, valset=EXAMPLES).tuning_report
    assert any("adapter=plain was not searched" in note for note in report.notes)
